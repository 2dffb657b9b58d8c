//! All regions, what is between them, and the time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use domicile_sync::{Answer, Standing};
use domicile_types::{Dot, Origin};

use crate::disk::Lies;
use crate::model::{Model, Write};
use crate::net::{Delivery, Message, Net, Packed};
use crate::node::{ANSWER_MS, LIE_MS, Lying, Node};
use crate::reader::{self, Visible};
use crate::rng::Rng;
use crate::tables::{self, Rule};

/// How a run differs from one on honest ground.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup {
    pub(crate) lies: Lies,
    #[cfg(feature = "planted-bugs")]
    pub(crate) planted: Option<domicile_store::Planted>,
    #[cfg(feature = "planted-bugs")]
    pub(crate) sync: Option<domicile_sync::Planted>,
}

impl Setup {
    /// Disks that lie.
    pub(crate) fn lying(lies: Lies) -> Self {
        Self {
            lies,
            #[cfg(feature = "planted-bugs")]
            planted: None,
            #[cfg(feature = "planted-bugs")]
            sync: None,
        }
    }
}

/// What happened, so that a simulation that no longer reaches it is noticed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    trace: DefaultHasher,
    shown: bool,
}

impl Report {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Takes note of something that happened.
    pub(crate) fn tell(&mut self, now_ms: u64, what: std::fmt::Arguments<'_>) {
        let text = format!("{now_ms} {what}");
        text.hash(&mut self.trace);
        if self.shown {
            println!("{text}");
        }
    }

    /// Equal for two runs in which the same happened.
    pub(crate) fn digest(&self) -> u64 {
        self.trace.finish()
    }
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now_ms: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Net,
    pub(crate) model: Model,
    /// What regions had that had applied so much, found to be right.
    shown_at: BTreeMap<String, Visible>,
    /// A write of each region that was not acknowledged, and may be there all the same.
    pub(crate) open: Vec<Option<Write>>,
    pub(crate) next_serial: i64,
    pub(crate) next_question: u64,
    /// Regions that were given up, or lost their disks, and are not back.
    pub(crate) away: BTreeSet<usize>,
    /// Logs that were given up, so that not all of them counts.
    pub(crate) ended: BTreeSet<Origin>,
    /// Logs of regions that lost their disks since.
    pub(crate) lost: BTreeSet<Origin>,
    /// Of logs that were given to regions, in which others that stands.
    pub(crate) let_in_by: BTreeMap<Origin, BTreeSet<Origin>>,
    pub(crate) report: Report,
}

impl World {
    pub(crate) fn new(seed: u64, setup: Setup) -> Self {
        let mut rng = Rng::new(seed);
        let regions = 2 + rng.index(5);
        let rule = *rng.pick(&Rule::ALL);
        let nodes = (0..=regions).map(|index| Node::new(index, regions, rule, &mut rng, setup.lies)).collect();
        let shown = std::env::var_os("DOMICILE_SIM_TRACE").is_some();
        #[cfg_attr(not(feature = "planted-bugs"), expect(unused_mut, reason = "only a mistake is planted in it"))]
        let mut world = Self {
            net: Net::new(rng.fork()),
            rng,
            now_ms: 1_700_000_000_000,
            nodes,
            model: Model::new(rule),
            shown_at: BTreeMap::new(),
            open: vec![None; regions + 1],
            next_serial: 0,
            next_question: 0,
            away: BTreeSet::new(),
            ended: BTreeSet::new(),
            lost: BTreeSet::new(),
            let_in_by: BTreeMap::new(),
            report: Report { shown, ..Report::default() },
        };
        #[cfg(feature = "planted-bugs")]
        world.nodes.iter_mut().for_each(|node| (node.planted, node.sync) = (setup.planted, setup.sync));
        world
    }

    /// Lets time pass; everything that is due meanwhile happens.
    pub(crate) fn pass(&mut self, ms: u64) -> Result<(), String> {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms {
            let next_ms = self.net.next_ms().unwrap_or(end_ms).clamp(self.now_ms + 1, end_ms);
            self.now_ms = next_ms.min(self.now_ms + 200);
            while let Some(delivery) = self.net.receive(self.now_ms) {
                self.deliver(delivery)?;
            }
            for index in 0..self.nodes.len() {
                self.turn(index)?;
            }
        }
        Ok(())
    }

    /// What a region does of its own accord.
    fn turn(&mut self, index: usize) -> Result<(), String> {
        if !self.nodes[index].is_born {
            return Ok(());
        }
        if self.nodes[index].store.is_none() {
            if self.nodes[index].down_until_ms > self.now_ms {
                return Ok(());
            }
            self.start(index)?;
            if self.nodes[index].store.is_none() {
                return Ok(());
            }
        }
        self.apply(index)?;
        let now_ms = self.now_ms;
        let node = &mut self.nodes[index];
        if node.store.is_none() {
            return Ok(());
        }
        match node.tick(now_ms) {
            Ok(true) => self.report.count("heartbeats"),
            Ok(false) => {}
            Err(_) => return self.crash(index, true),
        }
        if node.is_parked && !node.is_behind(now_ms) {
            return Err(format!("region {index} is parked, and does not say that it is behind"));
        }
        let node = &mut self.nodes[index];
        let clock_ms = node.clock_ms(now_ms);
        let late: Vec<u64> =
            node.asked.iter().filter(|(_, (_, until_ms))| *until_ms <= now_ms).map(|(number, _)| *number).collect();
        for number in late {
            if let Some((to, _)) = node.asked.remove(&number) {
                node.replica.failed(&tables::region(to), clock_ms);
                node.joiner.iter_mut().for_each(|joiner| joiner.failed(&tables::region(to), clock_ms));
                self.report.count("questions without an answer");
            }
        }
        for (region, pull) in node.replica.due(node.store.as_ref().unwrap(), clock_ms) {
            let to = (0..).find(|to| tables::region(*to) == region).unwrap();
            self.next_question += 1;
            let number = self.next_question;
            node.asked.insert(number, (to, now_ms + ANSWER_MS));
            self.net.send(index, to, Message::Question { number, pull }, now_ms);
        }
        self.answer_lying(index)?;
        self.look_after(index)
    }

    /// Applies what can be applied; a region whose disk fails meanwhile starts again.
    fn apply(&mut self, index: usize) -> Result<(), String> {
        loop {
            let failures = self.nodes[index].disk.failures();
            let (count, problem) = self.nodes[index].apply(self.now_ms);
            if self.nodes[index].is_parked {
                self.report.count("parked entries");
            }
            if count > 0 {
                self.report.tell(self.now_ms, format_args!("{index} applies {count}"));
                self.report.count("entries applied at once, or alone");
                self.look(index)?;
            }
            let Some(problem) = problem else {
                if count == 0 {
                    return Ok(());
                }
                continue;
            };
            let node = &self.nodes[index];
            let is_well = node.store.as_ref().is_some_and(|store| store.health().problem().is_none());
            if is_well && node.disk.failures() == failures && !node.disk.is_stopped() {
                return Err(format!("region {index} cannot apply: {problem}"));
            }
            return self.crash(index, true);
        }
    }

    fn deliver(&mut self, Delivery { from, to, message }: Delivery) -> Result<(), String> {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[to];
        if node.store.is_none() {
            return Ok(());
        }
        match message {
            Message::Question { number, pull } => {
                node.lying.push(Lying { from, number, pull, until_ms: now_ms + LIE_MS });
                self.answer_lying(to)
            }
            Message::Answer { number, answer } => {
                let Some((asked, _)) = node.asked.remove(&number) else { return Ok(()) };
                let clock_ms = node.clock_ms(now_ms);
                let state = node.store.as_ref().unwrap().set_state(&tables::set_name());
                let answer = answer.unpack();
                if answer == Answer::SnapshotRequired {
                    self.report.count("regions that are behind");
                }
                node.replica.answered(&tables::region(asked), answer, 0, state, clock_ms);
                self.apply(to)
            }
            Message::Ask { number, ask } => self.give(from, to, number, &ask),
            Message::Told { number, answer } => self.take(to, number, answer),
        }
    }

    fn answer_lying(&mut self, index: usize) -> Result<(), String> {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[index];
        for lying in std::mem::take(&mut node.lying) {
            let failures = node.disk.failures();
            let store = node.store.as_ref().unwrap();
            let answer = match node.replica.answer(&tables::region(lying.from), &lying.pull, store) {
                Ok(answer) => answer,
                Err(_) if node.disk.failures() > failures => None,
                Err(error) => return Err(format!("region {index} cannot answer: {error}")),
            };
            let nothing = || node.replica.nothing(&tables::region(lying.from), &lying.pull, store);
            match answer.or_else(|| (lying.until_ms <= now_ms).then(nothing)) {
                None => node.lying.push(lying),
                Some(answer) => {
                    let answer = Packed::pack(answer);
                    self.net.send(index, lying.from, Message::Answer { number: lying.number, answer }, now_ms);
                }
            }
        }
        Ok(())
    }

    /// Loses the power or ends the process. It comes back some time later.
    pub(crate) fn crash(&mut self, index: usize, power: bool) -> Result<(), String> {
        self.report.tell(self.now_ms, format_args!("{index} crashes"));
        self.report.count(if power { "power failures" } else { "ended processes" });
        let away_ms = *self.rng.pick(&[0, 100, 2_000, 20_000]);
        let node = &mut self.nodes[index];
        node.close();
        if power {
            node.disk.crash()
        } else {
            node.disk.kill()
        }
        node.down_until_ms = self.now_ms + away_ms;
        Ok(())
    }

    /// Describes the datasets of a region anew, and starts it again.
    pub(crate) fn widen(&mut self, index: usize) -> Result<(), String> {
        self.report.count("wider datasets");
        self.report.tell(self.now_ms, format_args!("{index} gets a further column"));
        self.nodes[index].widen();
        if self.nodes[index].store.is_some() { self.crash(index, false) } else { Ok(()) }
    }

    /// Starts a region, where its disk lets it.
    pub(crate) fn start(&mut self, index: usize) -> Result<(), String> {
        let node = &mut self.nodes[index];
        let failures = node.disk.failures();
        if let Err(error) = node.open() {
            node.close();
            if node.disk.failures() == failures {
                return Err(format!("region {index} cannot be opened: {error}"));
            }
            node.disk.heal();
            node.disk.crash();
            self.report.count("failed starts");
            return Ok(());
        }
        self.report.tell(self.now_ms, format_args!("{index} starts"));
        self.settle(index);
        self.look(index)
    }

    /// A write that was not acknowledged is there after all, or never will be.
    fn settle(&mut self, index: usize) {
        let Some(mut write) = self.open[index].take() else { return };
        let node = &self.nodes[index];
        if !node.applied().contains(&write.dot) {
            return;
        }
        if let Some(hlc) = node.moment(&write.dot) {
            write.hlc = hlc;
            self.model.push(write);
            self.report.count("writes that survived unacknowledged");
        }
    }

    /// Compares what a region has with what it has to have.
    pub(crate) fn look(&mut self, index: usize) -> Result<(), String> {
        let node = &mut self.nodes[index];
        let store = node.store.as_ref().unwrap();
        let applied = node.applied();
        if !applied.covers(&node.seen) && node.replica.standing() != Standing::New {
            return Err(format!("region {index} went back from [{}] to [{applied}]", node.seen));
        }
        node.seen.clone_from(&applied);
        let meant = self.model.meant(&applied);
        self.model.check_closed(&meant)?;
        let failures = node.disk.failures();
        let (visible, listed) = match (reader::read(store, &mut node.cache), reader::conflicts(store, &mut node.cache))
        {
            (Ok(visible), Ok(listed)) => (visible, listed),
            (Err(_), _) | (_, Err(_)) if node.disk.failures() > failures => return Ok(()),
            (Err(error), _) | (_, Err(error)) => return Err(format!("region {index} cannot be read: {error}")),
        };
        match self.shown_at.get(&applied.to_string()) {
            Some(first) if *first == visible => {}
            Some(first) => {
                return Err(format!("region {index} has {visible:?} at [{applied}], and another look was {first:?}"));
            }
            None => {
                let expected = self.model.visible(&meant, &visible);
                if visible != expected {
                    return Err(format!("region {index} has {visible:?} instead of {expected:?} at [{applied}]"));
                }
                self.shown_at.insert(applied.to_string(), visible);
            }
        }
        self.report.count("looks");
        let (stocks, cards) = self.model.beside(&meant);
        (0..stocks).for_each(|_| self.report.count("counts of several versions"));
        (0..cards).for_each(|_| self.report.count("cards made up of several versions"));
        self.check_ledger(index, &meant, &listed)?;
        self.check_persons(index)
    }

    /// Every version that counts has to be seen, written over, or listed.
    fn check_ledger(
        &mut self,
        index: usize,
        meant: &BTreeSet<usize>,
        listed: &[(String, String)],
    ) -> Result<(), String> {
        let ids: BTreeSet<i64> =
            meant.iter().flat_map(|at| self.model.writes[*at].changes.items.keys().copied()).collect();
        for id in ids {
            let (seen, hidden) = self.model.ranked(meant, |changes| changes.items.contains_key(&id));
            if hidden.is_empty() {
                continue;
            }
            let key = format!("[\"{id}\"]");
            for at in hidden {
                let Dot { origin, seq } = &self.model.writes[at].dot;
                let text = format!("[\"{}\",{},{seq}]", origin.region, origin.epoch);
                if !listed.iter().any(|(of, versions)| *of == key && versions.contains(&text)) {
                    let seen = seen.map(|at| &self.model.writes[at].dot);
                    return Err(format!("region {index} shows {seen:?} and not that {origin}:{seq} wrote item {id}"));
                }
            }
            self.report.count("rows with several versions");
        }
        Ok(())
    }
}
