//! Changes of the members: who has to log which, and when.
//!
//! **Giving up a region** takes two rounds, so that none of the others has more of its log than another. Whoever has the
//! entry that freezes a log takes no more of it than what it meets as a cause of what the others wrote, and says at
//! once, by an entry, what it has. Once the log shows this of all others, the greatest number among them is the end: any
//! of them had got so far before it was frozen, and what follows such an entry reaches all. What lies behind that number
//! nobody has taken, and nobody ever will: first since the log is frozen, then since it is fenced, and both are in the
//! snapshots that later members start from.
//!
//! A region that was given up and is alive learns it from the entries, or from answers. It comes back under another log;
//! what nobody has of the old one is set aside there. So it is with a region that lost its disk, or stayed away for so
//! long that entries are not kept for it any more: once it is back, it gives up its former logs itself. Until that is
//! done, these hold up what is stable, since others may still have entries of them that are not everywhere.

use domicile_store::{SetState, Store};
use domicile_types::{Change, Origin, RegionId, ReplicationSet, SetName};

use crate::{SyncError, stability};

/// Logs a change of the members.
///
/// # Errors
/// Where it cannot be committed.
pub fn log_change(store: &mut Store, set: &SetName, change: Change, now_ms: u64) -> Result<(), SyncError> {
    let prepared = store.preparer().change(set, change)?;
    for answer in store.commit(prepared.into_iter().collect(), now_ms) {
        answer?;
    }
    Ok(())
}

/// The changes that freeze all logs of a region.
///
/// # Errors
/// Where it has none that is not frozen, or is this region.
pub(crate) fn freezing(
    set: &ReplicationSet,
    state: &SetState,
    me: &RegionId,
    region: &RegionId,
) -> Result<Vec<Change>, SyncError> {
    let lives = stability::lives(state, &set.regions).into_keys();
    let is_open = |life: &Origin| state.members.get(life).is_none_or(|said| said.frozen.is_none());
    let open = lives.filter(|life| life.region == *region && is_open(life));
    let changes: Vec<Change> = open.map(|life| Change::Freeze { life }).collect();
    if changes.is_empty() || region == me {
        return Err(SyncError::NotMember { set: set.name.clone(), region: region.clone() });
    }
    Ok(changes)
}

/// The changes that this region has to log now: it freezes the logs of its own former lives, and ends frozen ones once
/// all others have said what they have of them.
pub(crate) fn due(set: &ReplicationSet, state: &SetState, me: &Origin) -> Vec<Change> {
    if !is_member(set, state, me) {
        return Vec::new();
    }
    let lives = stability::lives(state, &set.regions);
    let is_former = |life: &&Origin| {
        let said = state.members.get(life);
        let was_let_in = said.is_some_and(|said| said.joined.is_some());
        let is_open = said.is_none_or(|said| said.frozen.is_none());
        life.region == me.region && *life != me && is_open && (was_let_in || life.generation() != me.generation())
    };
    let former = lives.keys().filter(is_former).map(|life| Change::Freeze { life: life.clone() });
    let mut changes: Vec<Change> = former.collect();
    let others = || lives.iter().filter(|(life, _)| *life != me && !state.members.is_out(life));
    let told = |frozen| others().all(|(_, follows)| follows.covers(frozen));
    if !changes.is_empty() || !state.members.freezing().all(|(_, frozen)| told(frozen)) {
        return changes;
    }
    for (life, frozen) in state.members.freezing() {
        let is_mine = frozen.get(me) > 0 || frozen.iter().all(|(by, _)| state.members.is_out(by));
        if is_mine {
            changes.push(Change::Fence { life: life.clone(), seq: state.applied.get(life) });
        }
    }
    changes
}

/// Whether a log is one of the set's and may be written.
pub(crate) fn is_member(set: &ReplicationSet, state: &SetState, me: &Origin) -> bool {
    let was_let_in = state.members.get(me).is_some_and(|life| life.joined.is_some());
    let is_known = was_let_in || set.regions.contains(&me.region) || state.applied.get(me) > 0;
    is_known && !state.members.is_out(me)
}

/// Whether a region knows that it goes on with its own log: it has entries of it, or was given it.
pub(crate) fn is_sure(state: &SetState, me: &Origin) -> bool {
    let was_let_in = state.members.get(me).is_some_and(|life| life.joined.is_some());
    let is_own = |life: &Origin| life.region == me.region && life.generation() == me.generation();
    was_let_in || state.members.is_out(me) || state.applied.iter().any(|(life, seq)| is_own(life) && seq > 0)
}

/// Whether this region has entries that count nowhere else, since the log that they are of had ended before.
pub(crate) fn went_astray(state: &SetState) -> bool {
    state.applied.iter().any(|(life, seq)| state.members.fenced(life).is_some_and(|end| seq > end))
}

/// Whether this region has not said yet what it has of a log that is frozen.
pub(crate) fn owes(state: &SetState, me: &Origin) -> bool {
    let mut said = state.heard.get(me).cloned().unwrap_or_default();
    said.advance(me, state.applied.get(me));
    state.members.freezing().any(|(_, frozen)| !said.covers(frozen))
}
