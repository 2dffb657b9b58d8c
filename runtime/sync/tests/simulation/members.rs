//! Regions that come, are given up, lose their disks, and come back.

use domicile_sync::{SnapshotAnswer, SnapshotAsk};
use domicile_types::{Change, Origin};

use crate::net::Message;
use crate::node::{ANSWER_MS, Node};
use crate::tables;
use crate::world::World;

impl World {
    /// What a region does about who belongs to the set.
    pub(crate) fn look_after(&mut self, index: usize) -> Result<(), String> {
        let now_ms = self.now_ms;
        let failures = self.nodes[index].disk.failures();
        let changes = match self.nodes[index].look_after_members(now_ms) {
            Ok(changes) => changes,
            Err(error) => return self.excuse(index, failures, &error.to_string()),
        };
        for change in changes {
            self.report.tell(now_ms, format_args!("{index} logs {change:?}"));
            self.report.count(match change {
                Change::Join { .. } => "joins",
                Change::Freeze { .. } => "former logs frozen",
                Change::Fence { .. } => "logs fenced",
            });
        }
        if self.nodes[index].replica.standing().needs_snapshot() { self.fetch(index) } else { Ok(()) }
    }

    /// A region that does not take part gets on with its snapshot.
    fn fetch(&mut self, index: usize) -> Result<(), String> {
        let failures = self.nodes[index].disk.failures();
        let (seen, life) = (self.nodes[index].applied(), self.nodes[index].install());
        match life {
            Ok(None) => {}
            Ok(Some(life)) => {
                self.report.tell(self.now_ms, format_args!("{index} starts from a snapshot as {life}"));
                self.report.count("snapshots installed");
                self.came_back(index, &seen)?;
                return self.look(index);
            }
            Err(error) => return self.excuse(index, failures, &error.to_string()),
        }
        let (now_ms, node) = (self.now_ms, &mut self.nodes[index]);
        let clock_ms = node.clock_ms(now_ms);
        let others: Vec<_> = node.replica.others().cloned().collect();
        let (Some(store), Some(joiner)) = (&node.store, &mut node.joiner) else { return Ok(()) };
        if let Some((region, ask)) = joiner.due(&others, store, clock_ms) {
            let to = (0..).find(|to| tables::region(*to) == region).unwrap();
            self.next_question += 1;
            let number = self.next_question;
            node.asked.insert(number, (to, now_ms + ANSWER_MS));
            self.net.send(index, to, Message::Ask { number, ask }, now_ms);
        }
        Ok(())
    }

    /// Nothing of others goes back, but what ended.
    fn came_back(&mut self, index: usize, before: &domicile_types::Vector) -> Result<(), String> {
        self.away.remove(&index);
        let node = &self.nodes[index];
        let state = node.store.as_ref().unwrap().set_state(&tables::set_name());
        let me = tables::region(index);
        let back = |(life, seq): &(&Origin, u64)| {
            let is_over = state.members.is_out(life) || self.was_given_by_ended(life);
            life.region != me && !is_over && state.applied.get(life) < *seq
        };
        if let Some((life, seq)) = before.iter().find(back) {
            return Err(format!("region {index} had {life}:{seq}, and started from a snapshot without it"));
        }
        self.nodes[index].seen = self.nodes[index].applied();
        Ok(())
    }

    /// A region whose disk failed starts again, and one whose datasets lack a column gets it; whatever else went wrong is a
    /// mistake.
    fn excuse(&mut self, index: usize, failures: u64, error: &str) -> Result<(), String> {
        let node = &self.nodes[index];
        if !node.is_wide && error.contains("does not fit the datasets here") {
            self.report.count("snapshots that did not fit");
            return self.widen(index);
        }
        let is_well = node.store.as_ref().is_some_and(|store| store.health().problem().is_none());
        if is_well && node.disk.failures() == failures && !node.disk.is_stopped() {
            return Err(format!("region {index} cannot look after the members: {error}"));
        }
        self.crash(index, true)
    }

    /// A region is asked for a snapshot.
    pub(crate) fn give(&mut self, from: usize, to: usize, number: u64, ask: &SnapshotAsk) -> Result<(), String> {
        let (now_ms, node) = (self.now_ms, &mut self.nodes[to]);
        let (failures, clock_ms) = (node.disk.failures(), node.clock_ms(now_ms));
        let Some(store) = &mut node.store else { return Ok(()) };
        if !matches!(node.replica.standing(), domicile_sync::Standing::Member) {
            return Ok(());
        }
        match node.sponsor.answer(&tables::region(from), ask, store, clock_ms) {
            Ok(answer) => {
                if let SnapshotAnswer::NotYet { life: Some(epoch) } = answer {
                    let life = Origin { region: tables::region(from), epoch };
                    self.let_in_by.entry(life).or_default().insert(store.origin());
                }
                self.report.count(match &answer {
                    SnapshotAnswer::List(_) => "snapshots offered",
                    SnapshotAnswer::Part(_) => "parts of snapshots",
                    SnapshotAnswer::Gone => "offers that were gone",
                    _ => "offers put off",
                });
                self.net.send(to, from, Message::Told { number, answer }, now_ms);
                Ok(())
            }
            Err(error) => self.excuse(to, failures, &error.to_string()),
        }
    }

    /// A region is told something of a snapshot.
    pub(crate) fn take(&mut self, to: usize, number: u64, answer: SnapshotAnswer) -> Result<(), String> {
        let (now_ms, node) = (self.now_ms, &mut self.nodes[to]);
        let Some((asked, _)) = node.asked.remove(&number) else { return Ok(()) };
        let (failures, clock_ms) = (node.disk.failures(), node.clock_ms(now_ms));
        let (Some(store), Some(joiner)) = (&node.store, &mut node.joiner) else { return Ok(()) };
        match joiner.answered(&tables::region(asked), answer, store, clock_ms) {
            Ok(()) => Ok(()),
            Err(error) => self.excuse(to, failures, &error.to_string()),
        }
    }

    /// A region that was never there comes.
    pub(crate) fn let_one_in(&mut self) -> Result<(), String> {
        if let Some(node) = self.nodes.iter_mut().find(|node| !node.is_born) {
            node.is_born = true;
            let index = node.index;
            self.away.insert(index);
            self.report.count("new regions");
            self.report.tell(self.now_ms, format_args!("{index} is new"));
        }
        Ok(())
    }

    /// A region that takes part, so that another one does.
    fn one_of_several(&mut self) -> Option<(usize, usize)> {
        let present: Vec<usize> =
            (0..self.nodes.len()).filter(|index| self.nodes[*index].is_born && !self.away.contains(index)).collect();
        let (one, other) = (*self.rng.pick(&present), *self.rng.pick(&present));
        (one != other).then_some((one, other))
    }

    /// Whether one of those that everybody knows is left without this one: nobody else could let it in again.
    fn can_come_back(&self, index: usize) -> bool {
        let is_known = |node: &Node| node.is_founder() && node.index != index && !self.away.contains(&node.index);
        self.nodes.iter().any(is_known)
    }

    /// A region loses its disk for good.
    pub(crate) fn destroy_one(&mut self) -> Result<(), String> {
        let Some((index, _)) = self.one_of_several().filter(|(index, _)| self.can_come_back(*index)) else {
            return Ok(());
        };
        self.report.tell(self.now_ms, format_args!("{index} loses its disk"));
        self.report.count("lost disks");
        self.away.insert(index);
        let region = tables::region(index);
        let of = |dot: &domicile_types::Dot| dot.origin.region == region;
        self.lost.extend(
            self.model.writes.iter().map(|write| &write.dot).filter(|dot| of(dot)).map(|dot| dot.origin.clone()),
        );
        self.lost.insert(self.nodes[index].origin());
        self.open[index] = None;
        let (node, rng) = (&mut self.nodes[index], &mut self.rng);
        node.destroy(rng);
        node.down_until_ms = self.now_ms + *self.rng.pick(&[0, 2_000, 20_000]);
        Ok(())
    }

    /// A region gives up another one: dead, cut off, or only thought to be.
    pub(crate) fn give_one_up(&mut self) -> Result<(), String> {
        let Some((index, by)) = self.one_of_several().filter(|(index, _)| self.can_come_back(*index)) else {
            return Ok(());
        };
        let (now_ms, region) = (self.now_ms, tables::region(index));
        let node = &mut self.nodes[by];
        let (failures, clock_ms) = (node.disk.failures(), node.clock_ms(now_ms));
        let Some(store) = &mut node.store else { return Ok(()) };
        if node.replica.standing() != domicile_sync::Standing::Member {
            return Ok(());
        }
        let Ok(changes) = node.replica.give_up(&region, store.set_state(&tables::set_name())) else { return Ok(()) };
        self.away.insert(index);
        for change in changes {
            let (Change::Freeze { life } | Change::Fence { life, .. } | Change::Join { life }) = &change;
            self.ended.insert(life.clone());
            self.report.tell(now_ms, format_args!("{by} logs {change:?}"));
            if let Err(error) = domicile_sync::log_change(store, &tables::set_name(), change, clock_ms) {
                return self.excuse(by, failures, &error.to_string());
            }
        }
        match self.rng.below(4) {
            0 => {
                self.report.count("dead regions given up");
                if self.nodes[index].store.is_some() {
                    self.crash(index, true)?;
                }
                self.nodes[index].down_until_ms = now_ms + 60_000;
            }
            1 => {
                self.report.count("regions given up that are cut off");
                let others = (0..self.nodes.len()).filter(|other| *other != index);
                self.net.cut.extend(others.flat_map(|other| [(index, other), (other, index)]));
            }
            _ => self.report.count("regions given up that are well"),
        }
        Ok(())
    }
}
