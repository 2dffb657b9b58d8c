//! The threads of the store: one owns it and commits what has gathered, others do its background work.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use domicile_store::{Ack, Batch, Done, Job, Prepared, Preparer, Source, Store, StoreError};
use domicile_types::DatasetName;
use domicile_types::limits::{COMMIT_GROUP_MAX, COMMIT_QUEUE_MAX};
use domicile_wire::client::now_unix_ms;
use tokio::sync::{Mutex, Semaphore, oneshot};

use crate::QueryError;
use crate::owner::OwnerGone;

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
    preparer: Preparer,
    /// One place each for the datasets whose batches have to come one after the other.
    gates: BTreeMap<DatasetName, Mutex<()>>,
    /// Where bodies are kept that have to wait for such a place.
    incoming: PathBuf,
    owner: Option<JoinHandle<()>>,
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
        let due = Arc::new(BlockingMutex::new(due));
        for worker in 0..WORKERS {
            let (due, done) = (Arc::clone(&due), requests.clone());
            let work = move || work(&due, &done, bytes_per_s_max);
            thread::Builder::new().name(format!("store-{worker}")).spawn(work)?;
        }
        let preparer = store.preparer();
        let reader = store.reader();
        let specs = reader.specs().iter().map(|spec| &spec.dataset).filter(|dataset| dataset.rows_may_move());
        let gates = specs.map(|dataset| (dataset.name.clone(), Mutex::new(()))).collect();
        let owner = thread::Builder::new().name("store".to_owned()).spawn(move || own(store, &waiting, &jobs))?;
        Ok(Self { requests, places: Semaphore::new(COMMIT_QUEUE_MAX), preparer, gates, incoming, owner: Some(owner) })
    }

    /// Prepares a batch on a thread for blocking work and has it committed with whatever else is waiting.
    ///
    /// # Errors
    /// Where the batch is refused or the store fails.
    pub(crate) async fn ingest(&self, batch: Batch, source: Source) -> Result<Ack, QueryError> {
        let Some(gate) = self.gates.get(&batch.dataset) else {
            return self.commit(self.prepare(batch, source).await?).await;
        };
        // A sender that is slow must not keep the others out: its rows are here before its turn comes.
        let (source, _kept) = keep(source, self.incoming.clone()).await?;
        let _turn = gate.lock().await;
        self.commit(self.prepare(batch, source).await?).await
    }

    async fn prepare(&self, batch: Batch, source: Source) -> Result<Prepared, QueryError> {
        let preparer = self.preparer.clone();
        Ok(blocking(move || preparer.prepare(batch, source, now_unix_ms())).await??)
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
    fn drop(&mut self) {
        let _ = self.requests.send(Request::Stop);
        if let Some(owner) = self.owner.take() {
            // Where it panicked, everyone who asked was told.
            let _ = owner.join();
        }
    }
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, QueryError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| QueryError::Execution(error.to_string()))
}

/// The rows in a file, which goes when the second value is dropped.
async fn keep(source: Source, dir: PathBuf) -> Result<(Source, Option<tempfile::TempPath>), QueryError> {
    let Source::Stream(mut stream) = source else { return Ok((source, None)) };
    let failed = |dir: &Path, source| StoreError::Io { action: "keep rows in", path: dir.to_owned(), source };
    let kept = blocking(move || {
        let file = tempfile::NamedTempFile::new_in(&dir).map_err(|error| failed(&dir, error))?;
        let path = file.into_temp_path();
        let mut file = File::create(&path).map_err(|error| failed(&path, error))?;
        io::copy(&mut stream, &mut file).map_err(|source| StoreError::Source { source })?;
        Ok::<_, StoreError>(path)
    });
    let path = kept.await??;
    Ok((Source::File(path.to_path_buf()), Some(path)))
}

/// Commits what waits, as one group, and hands out background work, until told to stop.
fn own(mut store: Store, requests: &Receiver<Request>, jobs: &Sender<Job>) {
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
fn work(due: &BlockingMutex<Receiver<Job>>, done: &Sender<Request>, bytes_per_s_max: u64) {
    loop {
        // Only the receiver is behind the lock, and receiving does not break it.
        let next = due.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        let pace = Pace::new(bytes_per_s_max);
        let result = if job.is_urgent() { job.run(&|_| {}) } else { job.run(&|bytes| pace.wait(bytes)) };
        if done.send(Request::Done(Box::new(result))).is_err() {
            return;
        }
    }
}

/// Spreads bytes over time.
struct Pace {
    started: Instant,
    bytes_per_s_max: u64,
    moved: std::cell::Cell<u64>,
}

impl Pace {
    fn new(bytes_per_s_max: u64) -> Self {
        Self { started: Instant::now(), bytes_per_s_max: bytes_per_s_max.max(1), moved: std::cell::Cell::new(0) }
    }

    /// Returns once `bytes` more are within the rate.
    fn wait(&self, bytes: u64) {
        let moved = self.moved.get().saturating_add(bytes);
        self.moved.set(moved);
        let due = Duration::from_secs_f64(moved as f64 / self.bytes_per_s_max as f64);
        thread::sleep(due.saturating_sub(self.started.elapsed()));
    }
}
