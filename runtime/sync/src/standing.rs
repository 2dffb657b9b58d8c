//! Whether a region takes part in a set, or has to start from a snapshot first.

use domicile_store::SetState;
use domicile_types::{Origin, limits};

use crate::link::Link;
use crate::{Replica, membership};

/// Whether a region takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It does.
    Member,
    /// It has nothing of the set, and asks whether that is so since it never wrote, or since it lost what it had. It must
    /// not give out numbers of entries that others may have.
    #[default]
    Unsure,
    /// It has to start from a snapshot, since it is new or lost what it had.
    New,
    /// It has to start from a snapshot, since entries that it lacks are not kept any more.
    Behind,
    /// It has to start from a snapshot, since its log was given up.
    Out,
}

impl Standing {
    /// Whether this region has to start from a snapshot.
    #[must_use]
    pub fn needs_snapshot(self) -> bool {
        matches!(self, Self::New | Self::Behind | Self::Out)
    }
}

impl Replica {
    /// Looks who belongs to the set by now, and whether this region still does.
    pub(crate) fn look(&mut self, state: &SetState, me: &Origin, now_ms: u64) {
        if self.set.home.is_some() {
            // One region writes, and the others are those that it gives copies to.
            self.standing = Standing::Member;
            return;
        }
        let joined = state.members.iter().filter(|(_, said)| said.joined.is_some()).map(|(life, _)| &life.region);
        for region in joined.filter(|region| **region != self.me) {
            if !self.links.contains_key(region) {
                self.links.insert(region.clone(), Link::default());
            }
        }
        if self.standing == Standing::Unsure {
            self.make_sure(state, me, now_ms);
        }
        if self.standing == Standing::Member && membership::went_astray(state) {
            self.standing = Standing::Out;
        }
        if self.standing == Standing::Member && !membership::is_member(&self.set, state, me) {
            let is_out = state.members.is_out(me);
            self.standing = if is_out { Standing::Out } else { Standing::New };
        }
        // Others have what this region wrote, and it has not: it lost its disk, and must not give out numbers again.
        if self.standing == Standing::Member && self.pending.has_of(me) {
            self.standing = Standing::New;
        }
    }

    /// Whether this region goes on with a log that an entry gave it.
    pub(crate) fn was_let_in(&self, state: &SetState) -> bool {
        state
            .members
            .iter()
            .any(|(life, said)| life.region == self.me && said.joined.is_some() && !state.members.is_out(life))
    }

    /// Finds out whether a region that has nothing of the set may begin its log.
    fn make_sure(&mut self, state: &SetState, me: &Origin, now_ms: u64) {
        let since_ms = *self.unsure_since_ms.get_or_insert(now_ms);
        let is_alone = self.links.values().all(|link| link.is_sure);
        if is_alone || membership::is_sure(state, me) || !membership::is_member(&self.set, state, me) {
            self.standing = Standing::Member;
            self.links.values_mut().for_each(|link| link.retry_at_ms = 0);
        } else if self.has_begun && now_ms.saturating_sub(since_ms) >= limits::UNSURE_MS_MAX {
            // One that does not answer may know of entries. With a log that is given out, there is no need to ask it.
            self.standing = Standing::New;
        }
    }
}
