//! Peace: everything works again, and everything has to come together.

use std::collections::BTreeSet;

use domicile_types::{Dot, Origin};

use crate::model::Model;
use crate::node::Node;
use crate::reader;
use crate::tables;
use crate::world::World;

/// How long coming together may take. Messages may take seconds, and a region that is down a while.
const PEACE_MS: u64 = 600_000;
/// How long nothing new has come to a partition when few deletions are reason enough to write it anew, and more.
const QUIET_MS: u64 = 20 * 60_000;

impl World {
    /// Lets everything work again, and checks that all regions end up with everything.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.net.cut.clear();
        for node in &mut self.nodes {
            node.disk.heal();
            node.skew_ms = 0;
            node.pauses.resume(None);
            node.replica.pause(node.pauses.clone());
            node.down_until_ms = node.down_until_ms.min(self.now_ms + 20_000);
        }
        if self.nodes.iter().any(|node| node.is_wide) {
            let narrow = (0..self.nodes.len()).filter(|index| !self.nodes[*index].is_wide);
            for index in narrow.collect::<Vec<_>>() {
                self.widen(index)?;
            }
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].disk.is_stopped() {
                self.crash(index, true)?;
            }
        }
        let end_ms = self.now_ms + PEACE_MS;
        while self.now_ms < end_ms && !self.is_settled() {
            self.pass(1_000)?;
        }
        self.report.tell(self.now_ms, format_args!("the end"));
        self.check_together()?;
        for index in (0..self.nodes.len()).filter(|index| self.nodes[*index].is_born).collect::<Vec<_>>() {
            self.forget(index)?;
            self.crash(index, true)?;
        }
        self.pass(30_000)?;
        self.check_together()
    }

    /// Everything is stable, so that nothing needs to be kept of rows that were deleted.
    fn forget(&mut self, index: usize) -> Result<(), String> {
        let node = &mut self.nodes[index];
        let kept = |node: &mut Node| {
            let kept = reader::tombstones(node.store.as_ref().unwrap(), &mut node.cache);
            kept.map_err(|error| format!("region {index} cannot be read: {error}"))
        };
        let before = kept(node)?;
        // Where recent rows wait to become segments already, those that came since are left for the next time.
        for _ in 0..2 {
            node.store.as_mut().unwrap().freeze_recent();
            node.work(self.now_ms + QUIET_MS);
        }
        let after = kept(node)?;
        if after > 0 {
            return Err(format!("region {index} keeps {after} of {before} deletions that are all stable"));
        }
        (0..before).for_each(|_| self.report.count("deletions forgotten"));
        self.look(index)
    }

    /// Whether everything counts everywhere, and is known to.
    fn is_settled(&self) -> bool {
        let Model { writes, .. } = &self.model;
        self.nodes.iter().filter(|node| node.is_born).all(|node| {
            let Some(store) = node.store.as_ref().filter(|_| node.is_member()) else { return false };
            let state = store.set_state(&tables::set_name());
            let holds = |dot: &Dot| state.stable.contains(dot) || !state.applied.contains(dot) && self.may_lack(dot);
            writes.iter().all(|write| holds(&write.dot))
                && state.members.freezing().next().is_none()
                && !node.is_behind(self.now_ms)
        })
    }

    /// Whether a write may have been lost with a disk, or is behind the end of its log; or that its region had been given
    /// that log may.
    fn may_lack(&self, dot: &Dot) -> bool {
        let log = &dot.origin;
        self.lost.contains(log) || self.ended.contains(log) || self.was_given_by_ended(log)
    }

    /// Whether a log was given by an entry of one that was lost or given up, or of one that was given so.
    pub(crate) fn was_given_by_ended(&self, log: &Origin) -> bool {
        let (mut reached, mut next) = (BTreeSet::new(), vec![log]);
        while let Some(log) = next.pop() {
            if reached.insert(log) {
                next.extend(self.let_in_by.get(log).into_iter().flatten());
            }
        }
        reached.remove(log);
        reached.into_iter().any(|log| self.lost.contains(log) || self.ended.contains(log))
    }

    /// What was given up and counts nowhere has to lie aside in its region.
    fn check_quarantine(&mut self) -> Result<(), String> {
        let here = |node: &Node, dot: &Dot| node.applied().contains(dot);
        for write in &self.model.writes {
            let dot = &write.dot;
            let missing = self.nodes.iter().filter(|node| node.is_born).all(|node| !here(node, dot));
            if !missing || self.lost.contains(&dot.origin) {
                continue;
            }
            let home = self.nodes.iter().find(|node| tables::region(node.index) == dot.origin.region).unwrap();
            let aside = home.store.as_ref().unwrap().quarantined(&tables::set_name());
            let aside = aside.map_err(|error| error.to_string())?;
            if !aside.iter().any(|aside| aside.dot == *dot && aside.is_decided) {
                return Err(format!("{dot} counts nowhere, and is not set aside: {aside:?}"));
            }
            self.report.count("writes set aside");
        }
        Ok(())
    }

    fn check_together(&mut self) -> Result<(), String> {
        let mut first = None;
        self.check_quarantine()?;
        let anywhere = |dot: &Dot| self.nodes.iter().any(|node| node.applied().contains(dot));
        let counts = |dot: &&Dot| !self.may_lack(dot) || anywhere(dot);
        let counting: Vec<Dot> = self.model.writes.iter().map(|write| &write.dot).filter(counts).cloned().collect();
        for (index, node) in self.nodes.iter_mut().enumerate().filter(|(_, node)| node.is_born) {
            let Some(store) = &node.store else { return Err(format!("region {index} does not come back")) };
            let state = store.set_state(&tables::set_name());
            let is_missing = |dot: &&domicile_types::Dot| !state.applied.contains(dot);
            if let Some(lost) = counting.iter().find(is_missing) {
                let status = node.replica.status(state, node.clock_ms(self.now_ms));
                return Err(format!("region {index} does not get {lost}; it has [{}], {status:?}", state.applied));
            }
            if node.is_behind(self.now_ms) {
                let lags = node.lags(self.now_ms);
                return Err(format!("region {index} has everything, and thinks that it is behind: {lags:?}"));
            }
            let is_open = |dot: &&domicile_types::Dot| !state.stable.contains(dot);
            if let Some(open) = counting.iter().find(is_open) {
                return Err(format!("region {index} never finds {open} stable: [{}]", state.stable));
            }
            let visible = reader::read(store, &mut node.cache).map_err(|error| error.to_string())?;
            match &first {
                None => first = Some(visible),
                Some(first) if *first == visible => {}
                Some(first) => return Err(format!("region {index} ends with {visible:?}, the first with {first:?}")),
            }
        }
        Ok(())
    }
}
