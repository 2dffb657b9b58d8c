//! What is done on the store at a time: it belongs to one thread, so the state of a set goes there and comes back.

use std::sync::Arc;
use std::time::Instant;

use domicile_store::{Batch, Format, Operation, Source, Store, StoreError};
use domicile_sync::{Answer, Applier, Pull, Replica, ReplicaStatus, SyncError};
use domicile_types::RegionId;
use tokio::sync::oneshot;

/// A question that there was nothing to say to yet.
#[derive(Debug)]
pub(super) struct Lying {
    pub(super) region: RegionId,
    pub(super) pull: Pull,
    pub(super) reply: oneshot::Sender<Answer>,
    pub(super) until: Instant,
}

/// What goes to the store.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) replica: Replica,
    pub(super) applier: Arc<Applier>,
    pub(super) answered: Vec<(RegionId, Option<Answer>)>,
    pub(super) lying: Vec<Lying>,
    pub(super) now_ms: u64,
}

/// What comes back.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) replica: Replica,
    pub(super) lying: Vec<Lying>,
    pub(super) pulls: Vec<(RegionId, Pull)>,
    pub(super) status: ReplicaStatus,
    /// The moment that copies are of.
    pub(super) as_of_ms: Option<u64>,
    /// Whether more can be done at once.
    pub(super) more: bool,
}

impl Turn {
    /// Does everything that is due.
    pub(super) fn run(mut self, store: &mut Store) -> Done {
        let set = self.replica.set().name.clone();
        for (region, answer) in std::mem::take(&mut self.answered) {
            match answer {
                Some(answer) => self.replica.answered(&region, answer, store.set_state(&set), self.now_ms),
                None => self.replica.failed(&region, self.now_ms),
            }
        }
        let more = self.apply(store);
        if let Err(error) = self.tick(store) {
            tracing::warn!(%set, %error, "what was applied cannot be said in the log yet");
        }
        let lying = std::mem::take(&mut self.lying);
        let lying = lying.into_iter().filter_map(|lying| self.answer(lying, store)).collect();
        let pulls = self.replica.due(store.set_state(&set), self.now_ms);
        let as_of_ms = self.replica.as_of_ms(store.set_state(&set));
        let status = self.replica.status();
        Done { replica: self.replica, lying, pulls, status, as_of_ms, more }
    }

    /// Applies what can be applied. Says whether there may be more of it.
    fn apply(&mut self, store: &mut Store) -> bool {
        let set = self.replica.set().name.clone();
        let ready = self.replica.ready(store.set_state(&set), self.now_ms);
        if ready.is_empty() {
            return false;
        }
        let applied = self.applier.apply(store, ready, self.now_ms);
        self.replica.put_back(applied.left, store.set_state(&set));
        match applied.problem {
            None => applied.count > 0,
            Some(error) => {
                let error = told(&error, self.replica.set().home.is_some());
                tracing::error!(%set, error, "entries of another region cannot be applied; they are tried again");
                self.replica.park(error);
                false
            }
        }
    }

    fn tick(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let me = store.origin();
        if self.replica.tick(store, &me, self.now_ms) { heartbeat(&self.replica, store, self.now_ms) } else { Ok(()) }
    }

    /// Answers a question, or gives it back.
    fn answer(&mut self, lying: Lying, store: &Store) -> Option<Lying> {
        let answer = self.replica.answer(&lying.region, &lying.pull, store).unwrap_or_else(|error| {
            tracing::error!(region = %lying.region, %error, "entries cannot be given");
            None
        });
        let nothing = || Answer::Entries { entries: Vec::new(), more: false };
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
