//! The region that gives snapshots of a set to those that come, or come back.
//!
//! It first logs that the other one joins, and then pins what it has: the snapshot has that entry. Any other member lets
//! go of a deletion only once it is stable. Before the entry counts there, what is stable is bounded by what this region
//! had when it wrote it, and the snapshot has all of that; afterwards the new life is itself among those who have to know.

use std::collections::BTreeMap;

use bytes::Bytes;
use domicile_store::{Offer, OfferJob, SetState, Store, StoreError};
use domicile_types::{Change, Dot, Origin, RegionId, ReplicationSet, Vector, limits};

use crate::SyncError;
use crate::membership::{self, log_change};
use crate::message::{SnapshotAnswer, SnapshotAsk};
use crate::planted::{Mistake, Planted};
use crate::system::rows_about;

/// Gives snapshots of one set.
#[derive(Debug)]
pub struct Sponsor {
    set: ReplicationSet,
    given: BTreeMap<RegionId, Given>,
    mistake: Mistake,
}

/// A snapshot for one region.
#[derive(Debug)]
struct Given {
    life: Origin,
    made: Made,
    asked_ms: u64,
}

#[derive(Debug)]
enum Made {
    /// To be put into files.
    Pinned(Box<OfferJob>),
    /// A job puts it into files.
    Writing,
    Ready(Offer),
    /// Ready, and the log does not say yet that somebody starts from it: a mistake.
    Early(Offer),
}

impl Sponsor {
    /// Gives snapshots of this set.
    #[must_use]
    pub fn new(set: ReplicationSet) -> Self {
        Self { set, given: BTreeMap::new(), mistake: Mistake::default() }
    }

    /// The same, making a mistake.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn planted(mut self, planted: Option<Planted>) -> Self {
        self.mistake = Mistake(planted);
        self
    }

    /// Answers a region, which may have the set.
    ///
    /// # Errors
    /// Where the log cannot be written, or a file not be read.
    pub fn answer(
        &mut self,
        region: &RegionId,
        ask: &SnapshotAsk,
        store: &mut Store,
        now_ms: u64,
    ) -> Result<SnapshotAnswer, SyncError> {
        self.given.retain(|_, given| now_ms.saturating_sub(given.asked_ms) <= limits::OFFER_IDLE_MS_MAX);
        match ask {
            SnapshotAsk::List { set, have, starts, life } if *set == self.set.name => {
                let has_all = reaches(store.set_state(set), region, have, starts);
                self.list(region, has_all, *life, store, now_ms)
            }
            SnapshotAsk::Part { set, want } if *set == self.set.name => {
                let gone = Ok(SnapshotAnswer::Gone);
                let Some(given) = self.given.get_mut(region) else { return gone };
                given.asked_ms = now_ms;
                let (Made::Ready(offer) | Made::Early(offer)) = &given.made else { return gone };
                Ok(offer.part(&want.file, want.offset)?.map_or(SnapshotAnswer::Gone, SnapshotAnswer::Part))
            }
            _ => Ok(SnapshotAnswer::NotPermitted),
        }
    }

    fn list(
        &mut self,
        region: &RegionId,
        has_all: bool,
        life: Option<u32>,
        store: &mut Store,
        now_ms: u64,
    ) -> Result<SnapshotAnswer, SyncError> {
        let life = life.map(|epoch| Origin { region: region.clone(), epoch });
        if let Some(given) = self.given.get_mut(region).filter(|given| Some(&given.life) == life.as_ref()) {
            given.asked_ms = now_ms;
            return Ok(match &given.made {
                Made::Ready(offer) | Made::Early(offer) => SnapshotAnswer::List(Bytes::clone(offer.list())),
                Made::Pinned(_) | Made::Writing => SnapshotAnswer::NotYet { life: Some(given.life.epoch) },
            });
        }
        let (state, me) = (store.set_state(&self.set.name), store.origin());
        let is_full = self.given.len() >= limits::OFFERS_MAX && !self.given.contains_key(region);
        if is_full || !membership::is_member(&self.set, state, &me) || !has_all {
            return Ok(SnapshotAnswer::NotYet { life: life.map(|life| life.epoch) });
        }
        let life = match life.filter(|life| is_unused(state, life)) {
            Some(life) => life,
            None => self.next_life(state, region, &me)?,
        };
        if self.mistake.is(Planted::SnapshotBeforeJoin) {
            let offer = store.offer(&self.set.name, life.clone(), rows_about()?).run()?;
            self.given.insert(region.clone(), Given { life: life.clone(), made: Made::Early(offer), asked_ms: now_ms });
            return Ok(SnapshotAnswer::NotYet { life: Some(life.epoch) });
        }
        let was_let_in = state.members.get(&life).is_some_and(|said| said.joined.is_some());
        if !was_let_in {
            log_change(store, &self.set.name, Change::Join { life: life.clone() }, now_ms)?;
        }
        let job = store.offer(&self.set.name, life.clone(), rows_about()?);
        let (epoch, made) = (life.epoch, Made::Pinned(Box::new(job)));
        self.given.insert(region.clone(), Given { life, made, asked_ms: now_ms });
        Ok(SnapshotAnswer::NotYet { life: Some(epoch) })
    }

    /// A life that nobody was given before. That it is given by this entry makes it differ from those that others give.
    fn next_life(&self, state: &SetState, region: &RegionId, me: &Origin) -> Result<Origin, SyncError> {
        let known = state.members.iter().map(|(life, _)| life).chain(state.applied.iter().map(|(life, _)| life));
        let last = known.filter(|life| life.region == *region).max().cloned();
        let last = last.unwrap_or_else(|| Origin { region: region.clone(), epoch: 0 });
        if self.mistake.is(Planted::EpochReuse) {
            return Ok(last);
        }
        let by = Dot { origin: me.clone(), seq: state.applied.get(me) + 1 };
        let unknown = || SyncError::NotMember { set: self.set.name.clone(), region: region.clone() };
        last.after(last.generation(), &by).ok_or_else(unknown)
    }

    /// A snapshot to be put into files, on any thread; [`Sponsor::made`] is to follow.
    pub fn job(&mut self) -> Option<(RegionId, OfferJob)> {
        let (region, given) = self.given.iter_mut().find(|(_, given)| matches!(given.made, Made::Pinned(_)))?;
        match std::mem::replace(&mut given.made, Made::Writing) {
            Made::Pinned(job) => Some((region.clone(), *job)),
            _ => None,
        }
    }

    /// Takes in what came of a job.
    pub fn made(&mut self, region: &RegionId, offer: Result<Offer, StoreError>) {
        let Some(given) = self.given.get_mut(region) else { return };
        match offer {
            Ok(offer) if *offer.life() == given.life => given.made = Made::Ready(offer),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%region, %error, "a snapshot could not be put into files");
                self.given.remove(region);
            }
        }
    }

    /// Says, some time later, that somebody starts from a snapshot that was made before: a mistake.
    #[cfg(feature = "planted-bugs")]
    pub fn say_late(&mut self, store: &mut Store, now_ms: u64) -> Result<(), SyncError> {
        for given in self.given.values_mut().filter(|given| now_ms.saturating_sub(given.asked_ms) >= 1_000) {
            if let Made::Early(_) = &given.made {
                log_change(store, &self.set.name, Change::Join { life: given.life.clone() }, now_ms)?;
                if let Made::Early(offer) = std::mem::replace(&mut given.made, Made::Writing) {
                    given.made = Made::Ready(offer);
                }
            }
        }
        Ok(())
    }
}

/// Whether nothing would go back for who has so much, but in its own log, in those that end, and in those that were given
/// out behind the end of another, so that they count nowhere else.
fn reaches(state: &SetState, region: &RegionId, have: &Vector, starts: &BTreeMap<Origin, Vector>) -> bool {
    let is_void = |life: &Origin| starts.get(life).is_some_and(|start| state.members.has_ended_before(start));
    have.iter().all(|(life, seq)| {
        let may_go_back = life.region == *region || state.members.is_out(life) || is_void(life);
        may_go_back || state.applied.get(life) >= seq
    })
}

/// Whether nothing is known to have been written under a life, and it can still begin.
fn is_unused(state: &SetState, life: &Origin) -> bool {
    let was_let_in = state.members.get(life).is_some_and(|said| said.joined.is_some());
    (was_let_in || life.generation() > 0) && state.applied.get(life) == 0 && !state.members.is_out(life)
}
