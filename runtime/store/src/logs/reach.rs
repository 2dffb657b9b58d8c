//! How far the logs of a set go beyond what somebody has.

use std::collections::BTreeMap;

use domicile_types::{Origin, SetName, Vector};

use crate::Store;

/// How far a log goes beyond what somebody has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Whose log.
    pub origin: Origin,
    /// The last entry that they have; 0 where they have none.
    pub from: u64,
    /// The last entry that there is.
    pub to: u64,
    /// Bytes of the entries in between, as far as they are kept.
    pub bytes: u64,
    /// When the first of these was written, in Unix milliseconds by its writer's clock; none where it is not kept.
    pub oldest_ms: Option<u64>,
}

impl Store {
    /// The logs of a set of which more counts here than is in `have`; only those of which `is_wanted`.
    #[must_use]
    pub fn reaches(&self, set: &SetName, have: &Vector, is_wanted: &dyn Fn(&Origin) -> bool) -> Vec<Reach> {
        let applied = &self.logs.state(set).applied;
        let beyond = applied.iter().filter(|(origin, to)| have.get(origin) < *to && is_wanted(origin));
        let reach = |(origin, to): (&Origin, u64)| {
            let reach = Reach { origin: origin.clone(), from: have.get(origin), to, bytes: 0, oldest_ms: None };
            (origin.clone(), reach)
        };
        let mut reaches: BTreeMap<Origin, Reach> = beyond.map(reach).collect();
        if reaches.is_empty() {
            return Vec::new();
        }
        for place in self.logs.places(set).filter(|place| !have.contains(&place.mark.dot)) {
            if let Some(reach) = reaches.get_mut(&place.mark.dot.origin) {
                reach.bytes += place.bytes;
                reach.oldest_ms.get_or_insert(place.mark.hlc.unix_ms());
            }
        }
        reaches.into_values().collect()
    }
}
