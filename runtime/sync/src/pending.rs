//! Entries that have come and cannot be applied yet.

use std::collections::{BTreeMap, BTreeSet};

use domicile_store::Entry;
use domicile_types::{Dot, Members, Origin, RegionId, Vector, limits};

use crate::planted::{Mistake, Planted};

/// What of the entries that wait may be applied.
pub(crate) struct Due<'a> {
    pub(crate) members: &'a Members,
    /// The latest moment that an entry may be of.
    pub(crate) latest_ms: u64,
    /// Whether a log is paused.
    pub(crate) is_held: &'a dyn Fn(&Origin) -> bool,
}

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
    /// nothing that is missing, is not of a moment behind `latest_ms`, and is of no log that is held or takes no more. An
    /// entry that changes the members is the last: what may come after it is not known before it counts.
    pub(crate) fn take(&mut self, applied: &Vector, due: &Due<'_>, max: usize) -> Vec<Entry> {
        let (mut reached, mut taken) = (applied.clone(), Vec::new());
        while taken.len() < max {
            let Some(dot) = self.next(&reached, due) else { break };
            reached.advance(&dot.origin, dot.seq);
            let Some(entry) = self.entries.remove(&(dot.origin, dot.seq)) else { break };
            self.bytes -= entry.encoded_len();
            let is_change = entry.mark.change.is_some();
            taken.push(entry);
            if is_change {
                break;
            }
        }
        taken
    }

    fn next(&self, reached: &Vector, due: &Due<'_>) -> Option<Dot> {
        let mut first = self.entries.first_key_value().map(|((origin, _), _)| origin.clone());
        while let Some(origin) = first {
            let seq = reached.get(&origin) + 1;
            let next = self.entries.get(&(origin.clone(), seq));
            let in_order =
                |entry: &Entry| self.mistake.is(Planted::EffectsBeforeCauses) || reached.covers(&entry.mark.follows);
            let in_time = |entry: &Entry| in_order(entry) && entry.mark.hlc.unix_ms() <= due.latest_ms;
            let may_count = || !(due.is_held)(&origin) && self.may_count(&origin, seq, due.members);
            if next.is_some_and(in_time) && may_count() {
                return Some(Dot { origin, seq });
            }
            let behind = self.entries.range((origin, u64::MAX)..).next();
            first = behind.map(|((origin, _), _)| origin.clone());
        }
        None
    }

    /// What waits, of each log without gaps after `applied`.
    pub(crate) fn holds(&self, applied: &Vector) -> Vector {
        let mut holds = Vector::new();
        for (origin, seq) in self.entries.keys() {
            if holds.get(origin).max(applied.get(origin)) + 1 == *seq {
                holds.advance(origin, *seq);
            }
        }
        holds
    }

    /// Whether an entry is of a log that goes on, or a cause of what a region wrote whose log does.
    fn may_count(&self, origin: &Origin, seq: u64, members: &Members) -> bool {
        if let Some(end) = members.fenced(origin) {
            return seq <= end;
        }
        let follows = |((by, _), entry): (&(Origin, u64), &Entry)| {
            entry.mark.follows.get(origin) >= seq && by != origin && !members.is_out(by)
        };
        !members.is_out(origin) || self.entries.iter().any(follows)
    }

    /// Takes out the entries that never count.
    pub(crate) fn strays(&mut self, members: &Members) -> Vec<Entry> {
        let strays = self.entries.iter().filter(|(_, entry)| members.is_void(&entry.mark));
        let strays: Vec<(Origin, u64)> = strays.map(|(dot, _)| dot.clone()).collect();
        let entries: Vec<Entry> = strays.iter().filter_map(|dot| self.entries.remove(dot)).collect();
        self.bytes -= entries.iter().map(Entry::encoded_len).sum::<usize>();
        entries
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

    /// When the next entry of a log was written, where it has come, in Unix milliseconds.
    pub(crate) fn next_ms(&self, origin: &Origin, applied: &Vector) -> Option<u64> {
        let next = self.entries.get(&(origin.clone(), applied.get(origin) + 1));
        next.map(|entry| entry.mark.hlc.unix_ms())
    }

    /// Whether an entry of a log waits.
    pub(crate) fn has_of(&self, origin: &Origin) -> bool {
        self.entries.range((origin.clone(), 0)..).next().is_some_and(|((of, _), _)| of == origin)
    }

    /// Whether an entry of a log waits that a vector does not mean.
    pub(crate) fn has_beyond(&self, origin: &Origin, vector: &Vector) -> bool {
        let mut of = self.entries.range((origin.clone(), vector.get(origin) + 1)..);
        of.next().is_some_and(|((of, _), _)| of == origin)
    }

    /// Entries, and bytes of them.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }
}
