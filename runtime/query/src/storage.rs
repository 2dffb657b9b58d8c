//! The threads of the store: one owns it and commits what has gathered, others do its background work.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domicile_store::{Ack, Batch, Done, Job, Prepared, Source, Store, StoreError};
use domicile_types::limits::{COMMIT_GROUP_MAX, COMMIT_QUEUE_MAX};
use domicile_wire::client::now_unix_ms;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::QueryError;
use crate::loads::{Loads, Ready};
use crate::owner::OwnerGone;
use crate::pace::Pace;

/// How often the store is asked for background work that only time makes due.
const TICK: Duration = Duration::from_secs(1);

/// Threads for background work, one for each kind: a flush must not wait for a compaction, a move or a backup.
const WORKERS: usize = 4;

type Answer = Result<Ack, StoreError>;

enum Request {
    Commit(Box<Prepared>, oneshot::Sender<Answer>),
    Run(Box<dyn FnOnce(&mut Store) + Send>),
    Done(Box<Done>),
    Stop,
}

/// A handle to the store's threads. They end with it.
#[derive(Debug)]
pub(crate) struct Storage {
    requests: Sender<Request>,
    /// Bounds the batches that wait to be committed.
    places: Semaphore,
    loads: Loads,
    pace: Arc<Pace>,
    /// The version that is visible now.
    changes: watch::Receiver<u64>,
    /// The owner, then those that work for it.
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request(…)")
    }
}

impl Storage {
    /// Starts the threads. Background work moves at most `bytes_per_s_max`.
    ///
    /// # Errors
    /// Where the system has no thread to give.
    pub(crate) fn start(store: Store, incoming: PathBuf, bytes_per_s_max: u64) -> io::Result<Self> {
        let (requests, waiting) = channel();
        let (jobs, due) = channel();
        let (due, pace) = (Arc::new(BlockingMutex::new(due)), Arc::new(Pace::new(bytes_per_s_max)));
        let loads = Loads::new(&store, incoming);
        let (changed, changes) = watch::channel(store.reader().snapshot().version);
        let own = move || own(store, &waiting, &jobs, &changed);
        let owner = thread::Builder::new().name("store".to_owned()).spawn(own)?;
        let places = Semaphore::new(COMMIT_QUEUE_MAX);
        let mut storage = Self { requests, places, loads, pace, changes, threads: vec![owner] };
        for worker in 0..WORKERS {
            let (due, done, pace) = (Arc::clone(&due), storage.requests.clone(), Arc::clone(&storage.pace));
            let work = move || work(&due, &done, &pace);
            storage.threads.push(thread::Builder::new().name(format!("store-{worker}")).spawn(work)?);
        }
        Ok(storage)
    }

    /// Prepares a batch and has it committed with whatever else is waiting.
    ///
    /// # Errors
    /// Where too many batches of its dataset are under way, it is refused, or the store fails.
    pub(crate) async fn ingest(&self, batch: Batch, source: Source) -> Result<Ack, QueryError> {
        match self.loads.prepare(batch, source).await {
            Ok(Ready { prepared, holds: _holds }) => self.commit(prepared).await,
            Err(QueryError::Store(error)) if error.is_storage_full() => {
                // The store has to know, so that it can say so and tell when there is room again.
                let source = Arc::new(error);
                let noted = Arc::clone(&source);
                self.run(move |store| store.note_hindrance(&noted)).await?;
                Err(StoreError::Hindered { source }.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Tells of each new version.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    async fn commit(&self, prepared: Prepared) -> Result<Ack, QueryError> {
        let _place = self.places.acquire().await;
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Commit(Box::new(prepared), answer)).map_err(|_| OwnerGone)?;
        Ok(answered.await.map_err(|_| OwnerGone)??)
    }

    /// Runs `job` on the store, after what was asked before.
    ///
    /// # Errors
    /// Where the owning thread has ended.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> R + Send + 'static,
    ) -> Result<R, OwnerGone> {
        let (answer, answered) = oneshot::channel();
        let job = move |store: &mut Store| {
            // A caller that gave up does not stop the change.
            let _ = answer.send(job(store));
        };
        self.requests.send(Request::Run(Box::new(job))).map_err(|_| OwnerGone)?;
        answered.await.map_err(|_| OwnerGone)
    }
}

impl Drop for Storage {
    /// Waits until nothing of the store is at work. A job that has begun is done first.
    fn drop(&mut self) {
        let _ = self.requests.send(Request::Stop);
        self.pace.stop();
        for thread in self.threads.drain(..) {
            // Where one panicked, everyone who asked was told.
            let _ = thread.join();
        }
    }
}

/// Commits what waits, as one group, and hands out background work, until told to stop.
fn own(mut store: Store, requests: &Receiver<Request>, jobs: &Sender<Job>, changed: &watch::Sender<u64>) {
    let mut waiting: VecDeque<(Prepared, oneshot::Sender<Answer>)> = VecDeque::new();
    loop {
        let first = match waiting.is_empty() || store.is_full() {
            true => requests.recv_timeout(TICK),
            false => requests.recv_timeout(Duration::ZERO),
        };
        if first.as_ref().is_err_and(|error| *error == RecvTimeoutError::Disconnected) {
            return;
        }
        for request in first.into_iter().chain(requests.try_iter().take(COMMIT_QUEUE_MAX)) {
            match request {
                Request::Commit(prepared, answer) => waiting.push_back((*prepared, answer)),
                Request::Run(job) => job(&mut store),
                Request::Done(done) => {
                    // The store has logged it, and the work comes again.
                    let _ = store.finish(*done);
                }
                Request::Stop => return,
            }
        }
        // A store that is full and cannot help it gives its reason instead.
        if !store.is_full() || !store.health().is_writable() {
            commit(&mut store, &mut waiting);
        }
        let version = store.reader().snapshot().version;
        changed.send_if_modified(|known| std::mem::replace(known, version) != version);
        while let Some(job) = store.next_job(now_unix_ms()) {
            if jobs.send(job).is_err() {
                return;
            }
        }
    }
}

fn commit(store: &mut Store, waiting: &mut VecDeque<(Prepared, oneshot::Sender<Answer>)>) {
    if waiting.is_empty() {
        return;
    }
    let group = waiting.drain(..waiting.len().min(COMMIT_GROUP_MAX));
    let (batches, answers): (Vec<_>, Vec<_>) = group.unzip();
    let acks = store.commit(batches, now_unix_ms());
    for (answer, ack) in answers.into_iter().zip(acks) {
        // Whoever sent the batch may have gone; what was committed stays.
        let _ = answer.send(ack);
    }
}

/// Does background work until there is none to come.
fn work(due: &BlockingMutex<Receiver<Job>>, done: &Sender<Request>, pace: &Pace) {
    loop {
        // Only the receiver is behind the lock, and receiving does not break it.
        let next = due.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        let result = if job.is_urgent() { job.run(&|_| {}) } else { job.run(&|bytes| pace.wait(bytes)) };
        if done.send(Request::Done(Box::new(result))).is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
