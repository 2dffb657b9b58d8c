//! What an operator has paused.

use std::collections::BTreeMap;

use domicile_types::{Origin, RegionId};

/// What of a replication set is paused at a region, and since when, in Unix milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    /// The set as a whole.
    pub whole_ms: Option<u64>,
    /// Single regions: they are not asked, and what they write is not applied.
    pub from_ms: BTreeMap<RegionId, u64>,
}

impl Pauses {
    /// Pauses the whole set, or what comes from one region. What is paused already stays so since then.
    pub fn pause(&mut self, from: Option<RegionId>, now_ms: u64) {
        match from {
            None => drop(self.whole_ms.get_or_insert(now_ms)),
            Some(region) => drop(self.from_ms.entry(region).or_insert(now_ms)),
        }
    }

    /// Ends all pauses of the set, or that of one region only.
    pub fn resume(&mut self, from: Option<&RegionId>) {
        match from {
            None => *self = Self::default(),
            Some(region) => drop(self.from_ms.remove(region)),
        }
    }

    /// Since when a region is not asked.
    #[must_use]
    pub fn since_ms(&self, region: &RegionId) -> Option<u64> {
        [self.whole_ms, self.from_ms.get(region).copied()].into_iter().flatten().min()
    }

    /// Whether entries of a log are not applied.
    #[must_use]
    pub fn holds(&self, origin: &Origin) -> bool {
        self.since_ms(&origin.region).is_some()
    }

    /// Whether nothing is paused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn pauses_begin_once_and_end() {
        let (mut pauses, a): (_, RegionId) = (Pauses::default(), "a".parse().unwrap());
        let b: RegionId = "b".parse().unwrap();
        pauses.pause(Some(a.clone()), 5);
        pauses.pause(Some(a.clone()), 9);
        assert_eq!((pauses.since_ms(&a), pauses.since_ms(&b)), (Some(5), None));
        pauses.pause(None, 7);
        assert_eq!((pauses.since_ms(&a), pauses.since_ms(&b)), (Some(5), Some(7)));
        pauses.resume(Some(&a));
        assert_eq!(pauses.since_ms(&a), Some(7), "the set is still paused");
        pauses.pause(Some(b), 8);
        pauses.resume(None);
        assert!(pauses.is_empty());
    }
}
