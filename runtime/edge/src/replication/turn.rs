//! What is done on the store at a time: it belongs to one thread, so the state of a set goes there and comes back.

use std::sync::Arc;
use std::time::Instant;

use domicile_store::{Batch, Format, Offer, OfferJob, Operation, Source, Store, StoreError};
use domicile_sync::{Answer, Applier, Pull, Replica, ReplicaStatus, SnapshotAnswer, SnapshotAsk, SyncError};
use domicile_types::{Origin, RegionId};
use tokio::sync::oneshot;

use super::roles::{Report, Roles};
use super::travel::Arrived;

/// A question that there was nothing to say to yet.
#[derive(Debug)]
pub(super) struct Lying {
    pub(super) region: RegionId,
    pub(super) pull: Pull,
    pub(super) reply: oneshot::Sender<Answer>,
    pub(super) until: Instant,
}

/// A question about a snapshot.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) region: RegionId,
    pub(super) ask: SnapshotAsk,
    pub(super) reply: oneshot::Sender<SnapshotAnswer>,
}

/// A region that somebody gives up, and whom to tell which logs end.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) region: RegionId,
    pub(super) reply: oneshot::Sender<Result<Vec<Origin>, SyncError>>,
}

/// What came in since the last turn.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) answered: Vec<(RegionId, Option<Arrived>)>,
    pub(super) told: Vec<(RegionId, Option<SnapshotAnswer>)>,
    pub(super) asked: Vec<Asked>,
    pub(super) made: Vec<(RegionId, Result<Offer, StoreError>)>,
    pub(super) given_up: Vec<GivenUp>,
    /// Whether somebody wants to know how it is.
    pub(super) wants_report: bool,
}

/// What goes to the store.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) roles: Roles,
    pub(super) applier: Arc<Applier>,
    pub(super) inbox: Inbox,
    pub(super) lying: Vec<Lying>,
    pub(super) now_ms: u64,
}

/// What comes back.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) roles: Roles,
    pub(super) lying: Vec<Lying>,
    pub(super) pulls: Vec<(RegionId, Pull)>,
    /// What is to be asked of a snapshot.
    pub(super) ask: Option<(RegionId, SnapshotAsk)>,
    /// A snapshot to be put into files.
    pub(super) job: Option<(RegionId, OfferJob)>,
    pub(super) report: Option<Report>,
    pub(super) status: ReplicaStatus,
    /// The moment that copies are of.
    pub(super) as_of_ms: Option<u64>,
    /// Whether more can be done at once.
    pub(super) more: bool,
}

impl Turn {
    /// Does everything that is due.
    pub(super) fn run(mut self, store: &mut Store) -> Done {
        let (set, now_ms) = (self.roles.set().clone(), self.now_ms);
        self.roles.begin(store);
        let inbox = std::mem::take(&mut self.inbox);
        for (region, answer) in inbox.answered {
            let replica = &mut self.roles.replica;
            match answer {
                Some((answer, bytes)) => replica.answered(&region, answer, bytes, store.set_state(&set), now_ms),
                None => replica.failed(&region, now_ms),
            }
        }
        inbox.told.into_iter().for_each(|(region, answer)| self.roles.told(&region, answer, store, now_ms));
        inbox.made.into_iter().for_each(|(region, offer)| self.roles.sponsor.made(&region, offer));
        let more = self.apply(store);
        if let Err(error) = self.tick(store) {
            tracing::warn!(%set, %error, "what was applied cannot be said in the log yet");
        }
        self.roles.look_after_members(store, now_ms);
        for GivenUp { region, reply } in inbox.given_up {
            // Whoever asked may have gone.
            let _ = reply.send(self.roles.give_up(&region, store, now_ms));
        }
        let ask = self.roles.fetch(store, now_ms);
        let lying = std::mem::take(&mut self.lying);
        let lying = lying.into_iter().filter_map(|lying| self.answer(lying, store)).collect();
        for Asked { region, ask, reply } in inbox.asked {
            let _ = reply.send(self.roles.give(&region, &ask, store, now_ms));
        }
        let pulls = self.roles.replica.due(store, now_ms);
        let job = self.roles.sponsor.job();
        let as_of_ms = self.roles.replica.as_of_ms(store.set_state(&set));
        let status = self.roles.replica.status(store.set_state(&set), now_ms);
        let report = inbox.wants_report.then(|| self.roles.report(status.clone(), store));
        Done { roles: self.roles, lying, pulls, ask, job, report, status, as_of_ms, more }
    }

    /// Applies what can be applied. Says whether there may be more of it.
    fn apply(&mut self, store: &mut Store) -> bool {
        let replica = &mut self.roles.replica;
        let set = replica.set().name.clone();
        let ready = replica.ready(store.set_state(&set), self.now_ms);
        if ready.is_empty() {
            replica.park(None);
            return false;
        }
        let applied = self.applier.apply(store, ready, self.now_ms);
        replica.put_back(applied.left, store.set_state(&set));
        match applied.problem {
            None => {
                replica.park(None);
                applied.count > 0
            }
            Some(error) => {
                let error = told(&error, replica.set().home.is_some());
                if replica.park(Some(error.clone())) {
                    tracing::error!(%set, error, "entries of another region cannot be applied; they are tried again");
                }
                false
            }
        }
    }

    fn tick(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let (me, replica) = (store.origin(), &mut self.roles.replica);
        if replica.tick(store, &me, self.now_ms) { heartbeat(replica, store, self.now_ms) } else { Ok(()) }
    }

    /// Answers a question, or gives it back.
    fn answer(&mut self, lying: Lying, store: &Store) -> Option<Lying> {
        let answer = self.roles.replica.answer(&lying.region, &lying.pull, store).unwrap_or_else(|error| {
            tracing::error!(region = %lying.region, %error, "entries cannot be given");
            None
        });
        let nothing = || self.roles.replica.nothing(&lying.region, &lying.pull, store);
        match answer.or_else(|| (lying.until <= Instant::now()).then(nothing)) {
            None => Some(lying),
            Some(answer) => {
                // Whoever asked may have gone.
                let _ = lying.reply.send(answer);
                None
            }
        }
    }
}

/// Why entries cannot be applied. Of copies without what comes of the engine that reads them, which can hold values:
/// nobody who reads this region's log may see rows of another home.
fn told(error: &SyncError, are_copies: bool) -> String {
    fn is_of_rows(error: &StoreError) -> bool {
        match error {
            StoreError::Group { source } => is_of_rows(source),
            StoreError::Compute { .. } | StoreError::RowsRefused { .. } => true,
            _ => false,
        }
    }
    match error {
        SyncError::Store(error) if !is_of_rows(error) => error.to_string(),
        error if !are_copies => error.to_string(),
        SyncError::NoPolicy { dataset } => format!(
            "the copies of `{dataset}` have what their home has lost; remove them from `replicas` in the data directory \
             while this region is stopped, and they are made anew"
        ),
        _ => "its rows cannot be read".to_owned(),
    }
}

/// Writes an entry without rows, so that the others learn what this region has applied.
fn heartbeat(replica: &Replica, store: &mut Store, now_ms: u64) -> Result<(), StoreError> {
    let Some(dataset) = replica.set().datasets.first().cloned() else { return Ok(()) };
    let batch = Batch { dataset, operation: Operation::Upsert, format: Format::Ndjson, idempotency_key: None };
    let prepared = store.preparer().prepare(batch, Source::Stream(Box::new(std::io::empty())), now_ms)?;
    store.commit(vec![prepared], now_ms).into_iter().try_for_each(|answer| answer.map(drop))
}
