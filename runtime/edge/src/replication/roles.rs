//! What a region is in a set: one that exchanges entries, gives snapshots, and may have to start from one.

use domicile_store::{BootstrapProblem, Store, StoreError};
use domicile_sync::{
    Joiner, Pauses, Replica, ReplicaStatus, SnapshotAnswer, SnapshotAsk, Sponsor, Standing, SyncError, log_change,
};
use domicile_types::{Change, Members, Origin, RegionId, ReplicationSet, SetName, Vector, limits};

use super::Links;

/// A region's parts in one set.
#[derive(Debug)]
pub(super) struct Roles {
    pub(super) replica: Replica,
    pub(super) sponsor: Sponsor,
    /// None until the store was seen.
    joiner: Option<Joiner>,
    me: RegionId,
    /// How entries come from each other region.
    links: Links,
    /// Why the members cannot be looked after, or no snapshot be started from; none where that works.
    problem: Option<String>,
    /// When a snapshot that could not be started from is tried again.
    retry_at_ms: u64,
}

/// How a region's part in a set is, for people.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) status: ReplicaStatus,
    pub(super) members: Members,
    pub(super) stable: Vector,
    /// Bytes of a snapshot that are to come; none where none comes, or it is not known yet.
    pub(super) snapshot_bytes: Option<u64>,
    /// Entries that were set aside; none where they cannot be listed.
    pub(super) set_aside: Option<usize>,
    pub(super) problem: Option<String>,
}

impl Roles {
    pub(super) fn new(set: ReplicationSet, me: RegionId, links: Links, pauses: Pauses) -> Self {
        let mut replica = Replica::new(set.clone(), me.clone());
        replica.pause(pauses);
        for (peer, link) in &links {
            if let Some(bytes_per_s) = link.bytes_per_s_max {
                replica = replica.limited(peer, bytes_per_s);
            }
        }
        Self { replica, sponsor: Sponsor::new(set), joiner: None, me, links, problem: None, retry_at_ms: 0 }
    }

    /// The same, knowing nothing of the others yet.
    fn anew(&self) -> Self {
        Self::new(self.replica.set().clone(), self.me.clone(), self.links.clone(), self.replica.pauses().clone())
    }

    pub(super) fn set(&self) -> &SetName {
        &self.replica.set().name
    }

    pub(super) fn standing(&self) -> Standing {
        self.replica.standing()
    }

    /// Goes on with what an earlier process began.
    pub(super) fn begin(&mut self, store: &Store) {
        if self.joiner.is_some() {
            return;
        }
        match Joiner::new(self.set().clone(), store) {
            Ok(joiner) => {
                if joiner.is_under_way() {
                    self.replica = self.anew().replica.anew();
                }
                self.joiner = Some(joiner);
            }
            Err(error) => self.note(Err(error.into())),
        }
    }

    /// Takes an answer about a snapshot in; none where there was no answer.
    pub(super) fn told(&mut self, region: &RegionId, answer: Option<SnapshotAnswer>, store: &Store, now_ms: u64) {
        let Some(joiner) = &mut self.joiner else { return };
        match answer {
            Some(answer) => {
                let taken = joiner.answered(region, answer, store, now_ms);
                self.note(taken);
            }
            None => joiner.failed(region, now_ms),
        }
    }

    /// Logs what this region has to say of the members, and sets aside what came of logs that ended.
    pub(super) fn look_after_members(&mut self, store: &mut Store, now_ms: u64) {
        let looked = self.look_after(store, now_ms);
        if looked.is_err() {
            self.note(looked);
        }
    }

    fn look_after(&mut self, store: &mut Store, now_ms: u64) -> Result<(), SyncError> {
        let set = self.set().clone();
        let strays = self.replica.strays(store.set_state(&set));
        if let Err(error) = store.set_aside(&strays) {
            self.replica.put_back(strays, store.set_state(&set));
            return Err(error.into());
        }
        for change in self.replica.changes(store.set_state(&set), &store.origin()) {
            log_change(store, &set, change.clone(), now_ms)?;
            tracing::info!(%set, ?change, "the members change");
        }
        Ok(())
    }

    /// Gives a region up. Says which logs end.
    pub(super) fn give_up(
        &mut self,
        region: &RegionId,
        store: &mut Store,
        now_ms: u64,
    ) -> Result<Vec<Origin>, SyncError> {
        let set = self.set().clone();
        if self.standing() != Standing::Member {
            return Err(SyncError::NotMember { set, region: self.me.clone() });
        }
        let mut ended = Vec::new();
        for change in self.replica.give_up(region, store.set_state(&set))? {
            if let Change::Freeze { life } = &change {
                ended.push(life.clone());
            }
            log_change(store, &set, change, now_ms)?;
        }
        tracing::warn!(%set, %region, "given up");
        Ok(ended)
    }

    /// Gets on with starting from a snapshot, where that is due. Says what to ask of whom.
    pub(super) fn fetch(&mut self, store: &mut Store, now_ms: u64) -> Option<(RegionId, SnapshotAsk)> {
        if !self.standing().needs_snapshot() {
            return None;
        }
        let rests = now_ms < self.retry_at_ms && self.retry_at_ms <= now_ms.saturating_add(limits::PULL_RETRY_MS_MAX);
        if rests {
            return None;
        }
        match self.joiner.as_mut()?.install(store) {
            Ok(None) => {}
            Ok(Some(life)) => {
                tracing::info!(set = %self.set(), log = %life, "started from a snapshot");
                *self = self.anew();
                self.begin(store);
                return None;
            }
            // It is tried again at once; the rows will be there.
            Err(SyncError::Store(StoreError::Bootstrap(BootstrapProblem::Busy))) => return None,
            Err(error) => {
                self.retry_at_ms = now_ms.saturating_add(limits::PULL_RETRY_MS_MAX);
                self.note(Err(error));
            }
        }
        let others: Vec<RegionId> = self.replica.others().cloned().collect();
        self.joiner.as_mut()?.due(&others, store, now_ms)
    }

    /// Answers what another region asks of a snapshot.
    pub(super) fn give(
        &mut self,
        region: &RegionId,
        ask: &SnapshotAsk,
        store: &mut Store,
        now_ms: u64,
    ) -> SnapshotAnswer {
        let set = self.replica.set();
        // Rows with a home leave it as entries, each with a receipt.
        if set.home.is_some() || !set.regions.contains(region) {
            return SnapshotAnswer::NotPermitted;
        }
        if self.standing() != Standing::Member {
            return SnapshotAnswer::NotYet { life: None };
        }
        self.sponsor.answer(region, ask, store, now_ms).unwrap_or_else(|error| {
            tracing::error!(%region, %error, "a snapshot cannot be given");
            SnapshotAnswer::Gone
        })
    }

    pub(super) fn report(&self, status: ReplicaStatus, store: &Store) -> Report {
        let state = store.set_state(self.set());
        let fetched = self.joiner.as_ref().filter(|_| self.standing().needs_snapshot());
        Report {
            status,
            members: state.members.clone(),
            stable: state.stable.clone(),
            snapshot_bytes: fetched.and_then(Joiner::missing_bytes),
            set_aside: store.quarantined(self.set()).ok().map(|entries| entries.len()),
            problem: self.problem.clone(),
        }
    }

    /// Takes note of whether something went well. Each problem is logged once.
    fn note(&mut self, outcome: Result<(), SyncError>) {
        let problem = outcome.err().map(|error| error.to_string());
        if problem != self.problem
            && let Some(error) = &problem
        {
            tracing::error!(set = %self.set(), error, "a snapshot or a change of the members waits; it is tried again");
        }
        self.problem = problem;
    }
}
