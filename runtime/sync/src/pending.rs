//! Entries that have come and cannot be applied yet.

use std::collections::{BTreeMap, BTreeSet};

use domicile_store::Entry;
use domicile_types::{Dot, Origin, RegionId, Vector, limits};

use crate::planted::{Mistake, Planted};

/// Entries by log and number.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    entries: BTreeMap<(Origin, u64), Entry>,
    bytes: usize,
    pub(crate) mistake: Mistake,
    suspects: BTreeSet<Origin>,
}

impl Pending {
    /// Takes an entry in, unless there is no room for it: then it is asked for again later. Says whether it was not here
    /// before.
    pub(crate) fn push(&mut self, entry: Entry, applied: &Vector) -> bool {
        let dot = &entry.mark.dot;
        if self.mistake.is(Planted::RepetitionIsPoison) {
            if applied.contains(dot) {
                self.suspects.insert(dot.origin.clone());
            }
            if self.suspects.contains(&dot.origin) {
                return false;
            }
        }
        let is_next = applied.get(&dot.origin) + 1 == dot.seq;
        let has_room = self.bytes + entry.encoded_len() <= limits::PENDING_ENTRIES_BYTES_MAX;
        if applied.contains(dot) || !(has_room || is_next) {
            return false;
        }
        let key = (dot.origin.clone(), dot.seq);
        self.bytes += entry.encoded_len();
        let known = self.entries.insert(key, entry);
        self.bytes -= known.as_ref().map_or(0, Entry::encoded_len);
        known.is_none()
    }

    /// Takes entries out that can be applied one after the other, at most `max`: each is the next of its log, follows
    /// nothing that is missing, is not of a moment behind `latest_ms`, and of a log that is not held.
    pub(crate) fn take(
        &mut self,
        applied: &Vector,
        latest_ms: u64,
        max: usize,
        is_held: &dyn Fn(&Origin) -> bool,
    ) -> Vec<Entry> {
        let (mut reached, mut taken) = (applied.clone(), Vec::new());
        while taken.len() < max {
            let Some(dot) = self.next(&reached, latest_ms, is_held) else { break };
            reached.advance(&dot.origin, dot.seq);
            let Some(entry) = self.entries.remove(&(dot.origin, dot.seq)) else { break };
            self.bytes -= entry.encoded_len();
            taken.push(entry);
        }
        taken
    }

    fn next(&self, reached: &Vector, latest_ms: u64, is_held: &dyn Fn(&Origin) -> bool) -> Option<Dot> {
        let mut first = self.entries.first_key_value().map(|((origin, _), _)| origin.clone());
        while let Some(origin) = first {
            let seq = reached.get(&origin) + 1;
            let due = self.entries.get(&(origin.clone(), seq));
            let in_order =
                |entry: &Entry| self.mistake.is(Planted::EffectsBeforeCauses) || reached.covers(&entry.mark.follows);
            let is_due = |entry: &Entry| in_order(entry) && entry.mark.hlc.unix_ms() <= latest_ms;
            if !is_held(&origin) && due.is_some_and(is_due) {
                return Some(Dot { origin, seq });
            }
            let behind = self.entries.range((origin, u64::MAX)..).next();
            first = behind.map(|((origin, _), _)| origin.clone());
        }
        None
    }

    /// Forgets what is applied by now.
    pub(crate) fn prune(&mut self, applied: &Vector) {
        let bytes = &mut self.bytes;
        self.entries.retain(|(origin, seq), entry| {
            let waits = applied.get(origin) < *seq;
            *bytes -= if waits { 0 } else { entry.encoded_len() };
            waits
        });
    }

    /// By how many milliseconds the next entry of a region is too far ahead; 0 where it is not.
    pub(crate) fn ahead_ms(&self, region: &RegionId, latest_ms: u64) -> u64 {
        let of = self.entries.iter().filter(|((origin, _), _)| origin.region == *region);
        of.map(|(_, entry)| entry.mark.hlc.unix_ms().saturating_sub(latest_ms)).max().unwrap_or(0)
    }

    /// What waits of each log without gaps from what is applied on.
    pub(crate) fn without_gaps(&self, applied: &Vector) -> Vector {
        let mut reached = Vector::new();
        for (origin, seq) in self.entries.keys() {
            if *seq == reached.get(origin).max(applied.get(origin)) + 1 {
                reached.advance(origin, *seq);
            }
        }
        reached
    }

    /// When the next entry of a log was written, where it has come, in Unix milliseconds.
    pub(crate) fn next_ms(&self, origin: &Origin, applied: &Vector) -> Option<u64> {
        let next = self.entries.get(&(origin.clone(), applied.get(origin) + 1));
        next.map(|entry| entry.mark.hlc.unix_ms())
    }

    /// Entries, and bytes of them.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }
}
