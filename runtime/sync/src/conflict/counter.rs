//! Numbers as the sum of what each origin added.

use std::collections::BTreeMap;

use domicile_types::{Origin, Vector};

use super::number::Number;

/// What one origin added to a number up to one of its entries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Contribution {
    /// The number of the entry.
    pub(super) seq: u64,
    pub(super) amount: Number,
}

/// What each origin added.
pub(super) type Contributions = BTreeMap<Origin, Contribution>;

/// All added up, in the order of the origins; none where nobody added anything.
pub(super) fn sum(contributions: &Contributions) -> Option<Number> {
    contributions.values().map(|contribution| contribution.amount).reduce(Number::plus)
}

/// The contributions to the row that several versions make up, each with what its writer had applied; in their order.
///
/// The newest of each origin counts, since it includes the older ones. But one that the writer of a version had
/// applied, and that the version does not have, was removed by a deletion before that version, and does not come back.
pub(super) fn merged(versions: &[(&Contributions, &Vector)]) -> Contributions {
    let mut newest = Contributions::new();
    for (origin, contribution) in versions.iter().flat_map(|(contributions, _)| contributions.iter()) {
        if newest.get(origin).is_none_or(|known| known.seq <= contribution.seq) {
            newest.insert(origin.clone(), *contribution);
        }
    }
    newest.retain(|origin, contribution| {
        versions.iter().all(|(contributions, follows)| {
            contributions.contains_key(origin) || follows.get(origin) < contribution.seq
        })
    });
    newest
}
