//! Which entries are stable: whatever still comes was written knowing of them.

use std::collections::{BTreeMap, BTreeSet};

use domicile_store::SetState;
use domicile_types::{Origin, RegionId, Vector};

/// The lives of regions that entries may still come of, and what those follow at least.
///
/// What still comes of a life comes after the last of its entries that counts here, and so follows what that one
/// follows; or it is its first entry, and follows the snapshot that it started from. Only what the logs themselves say
/// counts: hearing otherwise that a region has an entry says nothing of what it wrote before, which may still be on its
/// way.
///
/// A life ends with an entry that fences it. Only then nothing comes of it any more: that its region has another one
/// since does not say that its last entries have come.
pub(crate) fn lives(state: &SetState, founders: &BTreeSet<RegionId>) -> BTreeMap<Origin, Vector> {
    let known: BTreeSet<&Origin> = state.heard.keys().chain(state.members.iter().map(|(life, _)| life)).collect();
    let has_begun = |region: &RegionId| known.iter().any(|life| life.region == *region && life.generation() == 0);
    let founded = founders.iter().filter(|region| !has_begun(region));
    let founded = founded.map(|region| Origin { region: region.clone(), epoch: 0 });
    let mut lives = BTreeMap::new();
    for life in known.iter().copied().cloned().chain(founded) {
        let said = state.members.get(&life);
        if said.is_some_and(|said| said.fenced.is_some()) {
            continue;
        }
        // A store that came back from a backup goes on where it was.
        let went_on = |other: &&&Origin| {
            other.region == life.region && other.generation() == life.generation() && other.epoch > life.epoch
        };
        let is_told_of = said.is_some_and(|said| said.joined.is_some() || said.frozen.is_some());
        if !is_told_of && known.iter().any(|other| went_on(&other)) {
            continue;
        }
        let mut follows = said.and_then(|said| said.joined.clone()).unwrap_or_default();
        state.heard.get(&life).into_iter().for_each(|heard| follows.join(heard));
        follows.advance(&life, state.applied.get(&life));
        lives.insert(life, follows);
    }
    lives
}

/// The entries that nothing can come any more which was written without knowing of them.
pub(crate) fn stable(state: &SetState, me: &Origin, founders: &BTreeSet<RegionId>) -> Vector {
    let mut stable = state.applied.clone();
    lives(state, founders).iter().filter(|(life, _)| *life != me).for_each(|(_, follows)| stable.meet(follows));
    stable
}

/// Whether an entry of `origin` with rows counts here that the last one of this region does not follow.
pub(crate) fn is_unheard(state: &SetState, me: &Origin, origin: &Origin) -> bool {
    let said = state.heard.get(me).map_or(0, |follows| follows.get(origin));
    origin != me && state.written.get(origin) > said
}
