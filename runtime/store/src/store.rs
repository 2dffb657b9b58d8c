//! The store: one owner, who commits batches and lets work be done in the background.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use domicile_types::{DatasetName, Origin, RegionId, SetName, Vector};

use crate::disk::{Disk, Lease};
use crate::known::Known;
use crate::logs::{Logs, SetState};
use crate::manifest::{self, Edit, Remembered, Rule, State, Value};
use crate::objects::Objects;
use crate::synced::Synced;
use crate::version::Sequencer;
use crate::wal::LogFile;
use crate::{DatasetSpec, Health, Noting, Preparer, Sizes, Snapshot, StoreError, StoreReader};

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const SEGMENTS: &str = "segments";
pub(crate) const WAL: &str = "wal";

/// What a store is opened from.
#[derive(Debug, Clone)]
pub struct StoreParts {
    /// Where the files are.
    pub disk: Arc<dyn Disk>,
    /// The store's own directory.
    pub dir: PathBuf,
    /// Whose rows it holds.
    pub region: RegionId,
    /// All datasets of the region.
    pub specs: Vec<DatasetSpec>,
    /// The replication sets that datasets are in; the others are this region's alone.
    pub sets: BTreeMap<DatasetName, SetName>,
    /// Of those of their datasets whose conflicts are resolved by what rows say of their changes, what says it.
    pub noting: BTreeMap<DatasetName, Arc<dyn Noting>>,
    /// Where old partitions move to.
    pub cold: Option<Arc<dyn Objects>>,
    /// When things happen.
    pub sizes: Sizes,
    /// A mistake to make, for tests that have to notice it.
    #[cfg(feature = "planted-bugs")]
    pub planted: Option<Planted>,
}

/// A mistake that a store can be told to make, so that tests show that they would notice it.
#[cfg(feature = "planted-bugs")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Batches are acknowledged first and made durable with the next ones.
    AcknowledgeBeforeSync,
    /// Replay starts with a log file that is in segments already.
    ReplayBoundary,
}

/// What is in the log and not in segments yet, beside the rows.
#[derive(Debug, Default)]
pub(crate) struct Unflushed {
    /// Number of the last log file that it lies in.
    pub(crate) log: u64,
    /// Bytes of the recent rows.
    pub(crate) bytes: isize,
    /// Batches, those without rows included.
    pub(crate) batches: u64,
    pub(crate) remember: Vec<Remembered>,
    pub(crate) values: BTreeMap<DatasetName, BTreeSet<Value>>,
}

/// The storage of one region, held by its only writer. The directory is locked as long as this lives, or a job, what
/// prepares batches, or a batch that came from it.
pub struct Store {
    pub(crate) parts: StoreParts,
    pub(crate) manifest: manifest::Log,
    pub(crate) state: State,
    pub(crate) log: LogFile,
    pub(crate) synced: Synced,
    pub(crate) active: Unflushed,
    pub(crate) frozen: Option<Unflushed>,
    pub(crate) known: Known,
    pub(crate) logs: Logs,
    /// Versions at which the datasets whose rows may move last changed.
    pub(crate) changed_at: BTreeMap<DatasetName, u64>,
    pub(crate) reader: StoreReader,
    pub(crate) sequencer: Arc<Sequencer>,
    pub(crate) jobs: crate::jobs::Schedule,
    /// Large batches that are being prepared.
    pub(crate) large: Arc<AtomicUsize>,
    pub(crate) lease: Lease,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.reader.snapshot().version;
        f.debug_struct("Store").field("dir", &self.parts.dir).field("version", &version).finish_non_exhaustive()
    }
}

impl StoreParts {
    /// A store on the local disk, with the sizes of production and without cold storage.
    pub fn local(dir: PathBuf, region: RegionId, specs: Vec<DatasetSpec>) -> Self {
        Self {
            disk: Arc::new(crate::LocalDisk),
            dir,
            region,
            specs,
            sets: BTreeMap::new(),
            noting: BTreeMap::new(),
            cold: None,
            sizes: Sizes::default(),
            #[cfg(feature = "planted-bugs")]
            planted: None,
        }
    }

    pub(crate) fn segments_dir(&self) -> PathBuf {
        self.dir.join(SEGMENTS)
    }

    pub(crate) fn wal_dir(&self) -> PathBuf {
        self.dir.join(WAL)
    }

    /// Whether a batch is durable before it is acknowledged.
    pub(crate) fn syncs_first(&self) -> bool {
        #[cfg(feature = "planted-bugs")]
        let syncs_first = self.planted != Some(Planted::AcknowledgeBeforeSync);
        #[cfg(not(feature = "planted-bugs"))]
        let syncs_first = true;
        syncs_first
    }

    /// Number of the log file that replay starts with once those up to `flushed` are in segments.
    pub(crate) fn replay_after(&self, flushed: u64) -> u64 {
        #[cfg(feature = "planted-bugs")]
        if self.planted == Some(Planted::ReplayBoundary) {
            return flushed;
        }
        flushed + 1
    }
}

impl Store {
    /// Opens the store in a directory, or makes an empty one there. What a crash left unfinished is cleared away.
    ///
    /// Where rows cannot be read, the store opens all the same: [`Store::health`] says what is missing, and reading
    /// those datasets is refused. Where the write-ahead log is damaged, nothing more is written.
    ///
    /// # Errors
    /// Where another process has the directory open, the datasets do not hold together, the manifest is damaged or
    /// missing, the store is another region's, stored rows have another home under the present rules, or datasets are
    /// described otherwise than when they were stored.
    pub fn open(parts: StoreParts) -> Result<Self, StoreError> {
        crate::recover::open(parts)
    }

    /// A reader of this store, usable from any thread and as long as wanted.
    pub fn reader(&self) -> StoreReader {
        self.reader.clone()
    }

    /// What prepares batches for this store.
    pub fn preparer(&self) -> Preparer {
        Preparer {
            reader: self.reader.clone(),
            region: self.parts.region.clone(),
            disk: Arc::clone(&self.parts.disk),
            segments_dir: self.parts.segments_dir(),
            sequencer: Arc::clone(&self.sequencer),
            sizes: self.parts.sizes.clone(),
            sets: Arc::new(self.parts.sets.clone()),
            large: Arc::clone(&self.large),
            lease: self.lease.clone(),
        }
    }

    /// How the store is.
    pub fn health(&self) -> Arc<Health> {
        self.reader.health()
    }

    /// Whether recent rows or their log have reached their limit: background work has to be finished before more is
    /// committed.
    pub fn is_full(&self) -> bool {
        self.active.bytes >= self.parts.sizes.recent_bytes_max.cast_signed()
            || self.log.offset >= self.parts.sizes.log_file_bytes
    }

    /// The log that this store writes.
    pub fn origin(&self) -> Origin {
        Origin { region: self.sequencer.origin.clone(), epoch: self.sequencer.epoch() }
    }

    /// What counts here of a replication set.
    pub fn set_state(&self, set: &SetName) -> &SetState {
        self.logs.state(set)
    }

    /// Lets go of the log of a set as far as it is stable (nothing can come any more that was written without knowing of
    /// it) and delivered to every region that may want it; where more than `bytes_max` bytes are kept, also of what is
    /// not delivered. The files go with the next flush.
    pub fn release(&mut self, set: &SetName, stable: &Vector, delivered: &Vector, bytes_max: u64) {
        self.logs.release(set, stable, delivered, bytes_max);
    }

    /// Bytes of the entries of a set that are kept and that `vector` does not mean.
    pub fn kept_beyond(&self, set: &SetName, vector: &Vector) -> u64 {
        self.logs.bytes_beyond(set, vector)
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.reader.current.store(Arc::new(snapshot));
    }

    pub(crate) fn change_health(&self, change: impl FnOnce(&mut Health)) {
        let mut health = Health::clone(&self.reader.health.load());
        change(&mut health);
        self.reader.health.store(Arc::new(health));
    }

    /// An edit that carries the present numbers.
    pub(crate) fn edit(&self) -> Edit {
        Edit {
            hlc: self.sequencer.hlc().0,
            next_seq: self.sequencer.next_seq(),
            next_segment: self.sequencer.next_segment(),
            logs: self.logs.notes(),
            ..self.state.edit()
        }
    }

    /// Makes an edit durable and takes it in.
    ///
    /// # Errors
    /// Where there is no room for it or the disk fails. Where the outcome is unknown, nothing is written from then on.
    pub(crate) fn append(&mut self, edit: Edit) -> Result<(), StoreError> {
        let next = self.state.with(&edit)?;
        if let Err(error) = self.manifest.append(&edit, &next) {
            if self.manifest.is_poisoned() {
                return Err(self.refuse_writes(error));
            }
            return Err(error);
        }
        let (number, bytes) = self.manifest.reach();
        self.synced.note_manifest(number, bytes);
        self.state = next;
        self.jobs.wake();
        Ok(())
    }

    /// Stops writing for good, and gives the error that says so.
    pub(crate) fn refuse_writes(&self, error: StoreError) -> StoreError {
        tracing::error!(%error, "the store takes no more writes until it is opened again");
        let source = Arc::new(error);
        self.change_health(|health| {
            health.refused.get_or_insert_with(|| Arc::clone(&source));
        });
        StoreError::ReadOnly { source }
    }

    /// The rules of datasets whose rows have these values of the residency column.
    pub(crate) fn rules<'v>(
        &self,
        values: impl IntoIterator<Item = (&'v DatasetName, &'v BTreeSet<Value>)>,
    ) -> Result<BTreeMap<String, Rule>, StoreError> {
        let rule = |(dataset, values): (&DatasetName, &BTreeSet<Value>)| {
            Ok((dataset.to_string(), Rule::of(self.reader.catalog.entry(dataset)?, values.iter().cloned())))
        };
        values.into_iter().map(rule).collect()
    }
}
