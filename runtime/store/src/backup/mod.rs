//! Backups: copies of segments, named by their content, and a list that says which of them a store consisted of.
//!
//! An object `segments/<sha256>.parquet` for each segment, which later backups share, and `backups/<name>.json`, written
//! last. What a backup has is what the store had at one version.

mod contents;
mod make;
mod problem;
mod restore;

use std::fmt;
use std::sync::Arc;

use domicile_types::DatasetName;

use crate::StoreError;
use crate::objects::Objects;
use crate::segment::{Place, Segment, SegmentEntry};

pub(crate) use contents::Contents;
pub use contents::{BackupSummary, list_backups};
pub(crate) use make::{Backup, Queue};
pub use problem::BackupProblem;
pub(crate) use restore::copy_in;
pub use restore::{RestoreReport, restore, verify_backup};

/// What to back up or to restore.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selection {
    /// All that there is.
    #[default]
    All,
    /// One dataset.
    Dataset(DatasetName),
    /// One partition of a dataset, by [`PartitionKey::name`](crate::PartitionKey::name).
    Partition(DatasetName, String),
}

impl Selection {
    /// The dataset, where it is one.
    pub fn dataset(&self) -> Option<&DatasetName> {
        match self {
            Self::All => None,
            Self::Dataset(dataset) | Self::Partition(dataset, _) => Some(dataset),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Dataset(dataset) => write!(f, "dataset `{dataset}`"),
            Self::Partition(dataset, partition) => write!(f, "partition `{partition}` of dataset `{dataset}`"),
        }
    }
}

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// Its name.
    pub name: String,
    /// Version of the store that it has.
    pub version: u64,
    /// Segments in it.
    pub segments: usize,
    /// Row versions in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that were not there yet.
    pub copied_bytes: u64,
}

/// What is told of a backup once it is done or failed.
pub type OnBackup = Box<dyn FnOnce(Result<BackupReport, StoreError>) + Send>;

/// A backup to be made.
pub struct BackupRequest {
    /// Where to.
    pub objects: Arc<dyn Objects>,
    /// What of the store.
    pub selection: Selection,
    /// Told once, from the thread that the job runs on. Dropped untold where the store is closed before.
    pub on_done: OnBackup,
}

impl fmt::Debug for BackupRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupRequest").field("selection", &self.selection).finish_non_exhaustive()
    }
}

/// Tells the log of each tenth of the bytes that a backup is read or written by.
struct Progress<'a> {
    name: &'a str,
    what: &'static str,
    seen: u64,
    all: u64,
    told: u64,
}

impl<'a> Progress<'a> {
    fn new<'s>(name: &'a str, what: &'static str, entries: impl Iterator<Item = &'s SegmentEntry>) -> Self {
        Self { name, what, seen: 0, all: entries.map(|entry| entry.bytes).sum(), told: 0 }
    }

    fn add(&mut self, bytes: u64) {
        self.seen += bytes;
        let tenths = self.seen.saturating_mul(10) / self.all.max(1);
        if tenths > self.told {
            self.told = tenths;
            tracing::info!(name = self.name, bytes = self.seen, of = self.all, "a backup is being {}", self.what);
        }
    }
}

/// The object of a segment.
fn object_of(entry: &SegmentEntry) -> String {
    format!("segments/{}.parquet", entry.sha256)
}

/// A segment as a backup has it.
fn stored(objects: &Arc<dyn Objects>, entry: &SegmentEntry) -> Segment {
    Segment::new(entry.clone(), Place::Object { objects: Arc::clone(objects), name: object_of(entry) })
}
