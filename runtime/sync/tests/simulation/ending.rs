//! Peace: everything works again, and everything has to come together.

use crate::model::Model;
use crate::reader;
use crate::tables;
use crate::world::World;

/// How long coming together may take. Messages may take seconds, and a region that is down a while.
const PEACE_MS: u64 = 120_000;

impl World {
    /// Lets everything work again, and checks that all regions end up with everything.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.net.cut.clear();
        for node in &mut self.nodes {
            node.disk.heal();
            node.skew_ms = 0;
            node.pauses.resume(None);
            node.replica.pause(node.pauses.clone());
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
        for index in 0..self.nodes.len() {
            self.nodes[index].store.as_mut().unwrap().freeze_recent();
            self.nodes[index].work(self.now_ms);
            self.look(index)?;
            self.crash(index, true)?;
        }
        self.pass(30_000)?;
        self.check_together()
    }

    /// Whether everything counts everywhere, and is known to.
    fn is_settled(&self) -> bool {
        let Model { writes, .. } = &self.model;
        self.nodes.iter().all(|node| {
            let Some(store) = &node.store else { return false };
            let state = store.set_state(&tables::set_name());
            writes.iter().all(|write| state.stable.contains(&write.dot))
        })
    }

    fn check_together(&mut self) -> Result<(), String> {
        let mut first = None;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let Some(store) = &node.store else { return Err(format!("region {index} does not come back")) };
            let state = store.set_state(&tables::set_name());
            let is_missing = |dot: &&domicile_types::Dot| !state.applied.contains(dot);
            if let Some(lost) = self.model.writes.iter().map(|write| &write.dot).find(is_missing) {
                let status = node.replica.status(state, node.clock_ms(self.now_ms));
                return Err(format!("region {index} does not get {lost}; it has [{}], {status:?}", state.applied));
            }
            let lags = node.replica.status(state, node.clock_ms(self.now_ms)).lags;
            if lags.iter().any(|lag| (lag.entries, lag.bytes, lag.age_ms) != (0, 0, 0)) {
                return Err(format!("region {index} has everything, and thinks that it is behind: {lags:?}"));
            }
            let is_open = |dot: &&domicile_types::Dot| !state.stable.contains(dot);
            if let Some(open) = self.model.writes.iter().map(|write| &write.dot).find(is_open) {
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
