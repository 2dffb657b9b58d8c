//! Which entries are stable: whatever still comes was written knowing of them.

use std::collections::BTreeSet;

use domicile_store::SetState;
use domicile_types::{Origin, RegionId, Vector};

/// The entries that nothing can come any more which was written without knowing of them.
///
/// What still comes of a region comes after the last of its entries that counts here, and so follows what that one
/// follows. Only what the logs themselves say counts: hearing otherwise that a region has an entry says nothing of what
/// it wrote before, which may still be on its way.
pub(crate) fn stable(state: &SetState, me: &RegionId, members: &BTreeSet<RegionId>) -> Vector {
    let mut stable = state.applied.clone();
    for member in members.iter().filter(|member| *member != me) {
        stable.meet(&known_to(state, member));
    }
    stable
}

/// What the entries that still come of a region follow at least.
fn known_to(state: &SetState, region: &RegionId) -> Vector {
    let latest =
        state.heard.iter().filter(|(origin, _)| origin.region == *region).max_by_key(|(origin, _)| origin.epoch);
    let Some((origin, follows)) = latest else { return Vector::default() };
    let mut known = follows.clone();
    known.advance(origin, state.applied.get(origin));
    known
}

/// Whether an entry of `origin` with rows counts here that the last one of this region does not follow.
pub(crate) fn is_unheard(state: &SetState, me: &Origin, origin: &Origin) -> bool {
    let said = state.heard.get(me).map_or(0, |follows| follows.get(origin));
    origin != me && state.written.get(origin) > said
}
