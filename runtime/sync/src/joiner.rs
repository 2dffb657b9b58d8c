//! The region that starts from a snapshot: whom it asks, and for what.

use domicile_store::{RowsAbout, Staging, Store, StoreError, Want};
use domicile_types::{Origin, RegionId, SetName, limits};

use crate::SyncError;
use crate::message::{SnapshotAnswer, SnapshotAsk};
use crate::system::rows_about;

/// Fetches a snapshot of one set, from one region at a time.
#[derive(Debug)]
pub struct Joiner {
    set: SetName,
    /// The epoch that it was given and has not begun to use.
    life: Option<u32>,
    /// Whom it asks: the position among all others.
    turn: usize,
    from: Option<RegionId>,
    asked: Option<Option<Want>>,
    staging: Option<Staging>,
    refusals: u32,
    retry_at_ms: u64,
}

/// How often one region may say that it cannot, before the next one is asked.
const PATIENCE: u32 = 8;

impl Joiner {
    /// Goes on with what an earlier process began, if any.
    ///
    /// # Errors
    /// Where the disk cannot be read.
    pub fn new(set: SetName, store: &Store) -> Result<Self, StoreError> {
        let life = store.staged_life(&set)?.map(|life| life.epoch);
        let (from, asked, staging) = (None, None, None);
        Ok(Self { set, life, turn: 0, from, asked, staging, refusals: 0, retry_at_ms: 0 })
    }

    /// Whether this region was given a log that it has not begun to write. Until it has, nothing may count here but what
    /// comes with the snapshot.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.life.is_some()
    }

    /// The question that is due, to one of `others`; none where one is under way, or all has come. It has to be followed
    /// by [`Joiner::answered`] or [`Joiner::failed`].
    pub fn due(&mut self, others: &[RegionId], store: &Store, now_ms: u64) -> Option<(RegionId, SnapshotAsk)> {
        let rests = now_ms < self.retry_at_ms && self.retry_at_ms <= now_ms.saturating_add(limits::PULL_RETRY_MS_MAX);
        if self.asked.is_some() || rests || others.is_empty() {
            return None;
        }
        let set = self.set.clone();
        let from = self.from.get_or_insert_with(|| others[self.turn % others.len()].clone()).clone();
        let ask = match &self.staging {
            None => {
                self.asked = Some(None);
                let state = store.set_state(&set);
                let start = |(life, _)| Some((Origin::clone(life), state.members.get(life)?.joined.clone()?));
                let starts = state.applied.iter().filter_map(start).collect();
                SnapshotAsk::List { have: state.applied.clone(), starts, set, life: self.life }
            }
            Some(staging) => {
                let want = staging.want()?;
                self.asked = Some(Some(want));
                SnapshotAsk::Part { set, want }
            }
        };
        Some((from, ask))
    }

    /// Takes an answer in.
    ///
    /// # Errors
    /// Where the disk fails, or the list does not fit.
    pub fn answered(
        &mut self,
        region: &RegionId,
        answer: SnapshotAnswer,
        store: &Store,
        now_ms: u64,
    ) -> Result<(), SyncError> {
        let Some(asked) = self.asked.take().filter(|_| self.from.as_ref() == Some(region)) else { return Ok(()) };
        match (answer, asked) {
            (SnapshotAnswer::List(list), None) => {
                let staged = store.stage(&list);
                if staged.is_err() {
                    self.rest(now_ms);
                }
                let staging = staged?;
                self.life = Some(staging.life().epoch);
                self.refusals = 0;
                self.staging = Some(staging);
            }
            (SnapshotAnswer::Part(bytes), Some(want)) => {
                if let Some(staging) = &mut self.staging
                    && !staging.put(want, &bytes)?
                {
                    tracing::warn!(%region, file = %want.file, "a file of a snapshot came damaged; it is fetched anew");
                }
            }
            (SnapshotAnswer::NotYet { life }, None) => {
                self.life = life.or(self.life);
                self.rest(now_ms);
            }
            // The offer is gone; what is whole here stays.
            (SnapshotAnswer::Gone, _) => self.staging = None,
            _ => self.turn_away(now_ms),
        }
        Ok(())
    }

    /// Takes note that a region did not answer.
    pub fn failed(&mut self, region: &RegionId, now_ms: u64) {
        if self.from.as_ref() == Some(region) {
            self.asked = None;
            self.rest(now_ms);
        }
    }

    fn rest(&mut self, now_ms: u64) {
        self.refusals += 1;
        self.retry_at_ms = now_ms.saturating_add(limits::OFFER_RETRY_MS);
        if self.refusals >= PATIENCE {
            self.turn_away(now_ms);
        }
    }

    /// Asks another one from now on.
    fn turn_away(&mut self, now_ms: u64) {
        (self.from, self.staging, self.refusals) = (None, None, 0);
        self.turn += 1;
        self.retry_at_ms = now_ms.saturating_add(limits::OFFER_RETRY_MS);
    }

    /// Bytes that are not here yet; none where it is not known what is to be fetched.
    #[must_use]
    pub fn missing_bytes(&self) -> Option<u64> {
        self.staging.as_ref().map(Staging::missing_bytes)
    }

    /// Lets the snapshot count, once all of it is here. From then on this region writes the log that is given, and its
    /// [`Replica`](crate::Replica) has to be made anew.
    ///
    /// # Errors
    /// Where it does not fit, or the disk fails. Files that turn out to be damaged are wanted again.
    pub fn install(&mut self, store: &mut Store) -> Result<Option<Origin>, SyncError> {
        let Some(staging) = self.staging.as_mut().filter(|staging| staging.want().is_none()) else { return Ok(None) };
        let about: Vec<RowsAbout> = rows_about()?;
        let life = store.start_from(staging, &about)?;
        (self.staging, self.from, self.life) = (None, None, None);
        store.clear_staging(&self.set)?;
        Ok(Some(life))
    }
}
