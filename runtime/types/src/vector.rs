//! How much of what was written, where, somebody has: the causality that sync is built on.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Change, Hlc, RegionId, SetName, limits};

/// A vector as it is written and travels: region, epoch and number of each log.
pub type Numbers = Vec<(String, u32, u64)>;

/// Who writes a log: a region, in one life of its store. A store that comes back from a backup is one epoch later, so
/// that no number is given out twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The region that takes the writes.
    pub region: RegionId,
    /// How often its store was restored.
    pub epoch: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.region, self.epoch)
    }
}

/// One entry of a log, among all of its replication set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Whose log.
    pub origin: Origin,
    /// Number in that log, from 1, without gaps.
    pub seq: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin, self.seq)
    }
}

/// For each log of a replication set, up to which number its entries are meant, all before included.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vector(BTreeMap<Origin, u64>);

impl Vector {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The number reached in the log of `origin`; 0 where none of its entries is meant.
    #[must_use]
    pub fn get(&self, origin: &Origin) -> u64 {
        self.0.get(origin).copied().unwrap_or(0)
    }

    /// Whether an entry is among those meant.
    #[must_use]
    pub fn contains(&self, dot: &Dot) -> bool {
        self.get(&dot.origin) >= dot.seq
    }

    /// Whether all that `other` means is meant.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(origin, seq)| self.get(origin) >= *seq)
    }

    /// Means everything of a log up to an entry; never less than before.
    pub fn advance(&mut self, origin: &Origin, seq: u64) {
        if seq == 0 {
            return;
        }
        match self.0.get_mut(origin) {
            Some(known) => *known = (*known).max(seq),
            None => drop(self.0.insert(origin.clone(), seq)),
        }
    }

    /// Means what `other` means, too.
    pub fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|(origin, seq)| self.advance(origin, *seq));
    }

    /// Means only what `other` means, too.
    pub fn meet(&mut self, other: &Self) {
        self.0.retain(|origin, seq| {
            *seq = (*seq).min(other.get(origin));
            *seq > 0
        });
    }

    /// The logs of which something is meant, and up to where.
    pub fn iter(&self) -> impl Iterator<Item = (&Origin, u64)> {
        self.0.iter().map(|(origin, seq)| (origin, *seq))
    }

    /// As it is written and travels.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.iter().map(|(origin, seq)| (origin.region.to_string(), origin.epoch, seq)).collect()
    }

    /// The vector of these numbers; none where a region has no name that one can have, or a number is none that an entry
    /// can have.
    #[must_use]
    pub fn of_numbers(numbers: &Numbers) -> Option<Self> {
        let log = |(region, epoch, seq): &(String, u32, u64)| {
            Some((Origin { region: region.parse().ok()?, epoch: *epoch }, entry_number(*seq)?))
        };
        numbers.iter().map(log).collect()
    }

    /// Whether nothing is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number from elsewhere, where an entry can have it: whoever counts on from it does not come to the end of numbers.
#[must_use]
pub fn entry_number(seq: u64) -> Option<u64> {
    (seq <= limits::ENTRY_NUMBER_MAX).then_some(seq)
}

impl FromIterator<(Origin, u64)> for Vector {
    fn from_iter<I: IntoIterator<Item = (Origin, u64)>>(logs: I) -> Self {
        let mut vector = Self::default();
        logs.into_iter().for_each(|(origin, seq)| vector.advance(&origin, seq));
        vector
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (origin, seq)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{origin}:{seq}")?;
        }
        Ok(())
    }
}

/// What a log says of an entry beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The replication set.
    pub set: SetName,
    /// Which entry.
    pub dot: Dot,
    /// When it was written, by its writer's clock.
    pub hlc: Hlc,
    /// What its writer had applied then, its own entries before this one included: all that this entry follows. Any
    /// other entry, up to the present one, was written without knowing of it.
    pub follows: Vector,
    /// How it changes the members of the set; most do not.
    pub change: Option<Change>,
}

impl Mark {
    /// The order of all entries of a set that every region agrees on. Causes come before effects.
    #[must_use]
    pub fn order(&self) -> (Hlc, &Origin, u64) {
        (self.hlc, &self.dot.origin, self.dot.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(logs: &[(&str, u32, u64)]) -> Vector {
        let log = |(region, epoch, seq): &(&str, u32, u64)| {
            region.parse().map(|region| (Origin { region, epoch: *epoch }, *seq)).ok()
        };
        logs.iter().filter_map(log).collect()
    }

    #[test]
    fn vectors_join_meet_and_cover() {
        let (a, b) = (vector(&[("a", 0, 3), ("b", 0, 1)]), vector(&[("a", 0, 2), ("a", 1, 5)]));
        assert!(!a.covers(&b) && !b.covers(&a));
        let (mut joined, mut met) = (a.clone(), a.clone());
        joined.join(&b);
        met.meet(&b);
        assert_eq!(joined, vector(&[("a", 0, 3), ("a", 1, 5), ("b", 0, 1)]));
        assert_eq!(met, vector(&[("a", 0, 2)]));
        assert!(joined.covers(&a) && joined.covers(&b) && a.covers(&met) && b.covers(&met));
        assert_eq!(joined.to_string(), "a.0:3, a.1:5, b.0:1");
    }

    #[test]
    fn numbers_that_no_entry_can_have_make_no_vector() {
        let a = vector(&[("a", 0, 3), ("a", 7, limits::ENTRY_NUMBER_MAX)]);
        assert_eq!(Vector::of_numbers(&a.numbers()), Some(a));
        for numbers in [("a", 0, u64::MAX), ("a", 0, limits::ENTRY_NUMBER_MAX + 1), ("no region", 0, 1)] {
            assert_eq!(Vector::of_numbers(&vec![(numbers.0.to_owned(), numbers.1, numbers.2)]), None, "{numbers:?}");
        }
    }

    #[test]
    fn another_epoch_is_another_log() {
        let first = vector(&[("a", 0, 3)]);
        let dot =
            |epoch, seq| vector(&[("a", epoch, seq)]).iter().map(|(o, seq)| Dot { origin: o.clone(), seq }).last();
        assert!(dot(0, 3).is_some_and(|dot| first.contains(&dot)));
        assert!(dot(1, 1).is_some_and(|dot| !first.contains(&dot)));
    }
}
