//! Every way in which storage fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::error::ArrowError;
use domicile_types::{DatasetName, Digest, Dot, Origin, RegionId, SetName, suggestion};
use parquet::errors::ParquetError;

use crate::refusals::RefusedRow;
use crate::{
    BackupProblem, BootstrapProblem, EntryProblem, Format, HeaderProblem, LogProblem, ManifestProblem, SegmentProblem,
    SpecProblem,
};

/// Why the store, a journal or the blobs refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the directory or journal open.
    #[error("{} is in use by another process; stop it first, or choose another `data_dir`", path.display())]
    Locked {
        /// The locked directory or file.
        path: PathBuf,
    },
    /// A dataset's description does not hold together.
    #[error("dataset `{dataset}` cannot be stored: {problem}")]
    Spec {
        /// The dataset.
        dataset: DatasetName,
        /// What does not hold together.
        problem: SpecProblem,
    },
    /// The manifest cannot be used.
    #[error("manifest {} cannot be used: {problem}", path.display())]
    Manifest {
        /// The manifest file.
        path: PathBuf,
        /// What is wrong with it.
        problem: ManifestProblem,
    },
    /// A stored segment cannot be used.
    #[error("segment {} cannot be used: {problem}; restore its dataset from a backup", path.display())]
    Segment {
        /// The segment file.
        path: PathBuf,
        /// What is wrong with it.
        problem: SegmentProblem,
    },
    /// A segment is what was written, and yet cannot be decoded.
    #[error(
        "segment {} is what was written, and cannot be decoded: {source}; restart with more memory, or report it",
        path.display()
    )]
    Undecodable {
        /// The segment file.
        path: PathBuf,
        /// What the decoder said.
        source: ParquetError,
    },
    /// A dataset is described otherwise than when its rows were stored.
    #[error(
        "dataset `{dataset}` has rows that were stored under another description: other columns, another primary key, \
         another division, or a conflict policy that notes changes (`counter`, `column_lww`) where the present one does \
         not, or the other way round; only columns that may be null can be added, behind all others; put its dataset file \
         back as it was, or load the rows into a new dataset"
    )]
    Redescribed {
        /// The dataset.
        dataset: DatasetName,
    },
    /// Stored rows have another home under the present policy.
    #[error(
        "dataset `{dataset}` holds rows with {column} = {value}, whose home is {} under the present policy; \
         restore the policy or move the rows",
        home.as_ref().map_or("nowhere", RegionId::as_str)
    )]
    RowsOutsideHome {
        /// The dataset.
        dataset: DatasetName,
        /// The residency column.
        column: String,
        /// The value whose home changed.
        value: String,
        /// Its present home, if any.
        home: Option<RegionId>,
    },
    /// Stored rows were checked under another residency rule.
    #[error("dataset `{dataset}` was stored under another residency rule; restore the rule or load the rows afresh")]
    ResidencyChanged {
        /// The dataset.
        dataset: DatasetName,
    },
    /// A dataset is named that the store does not have.
    #[error("there is no dataset `{dataset}`{}", suggestion(.nearest.as_deref()))]
    UnknownDataset {
        /// The name that was looked for.
        dataset: DatasetName,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// A file to load is too large.
    #[error("the file has {actual} {unit}, one load may bring {max}; split it")]
    TooLarge {
        /// What was counted.
        unit: &'static str,
        /// How many there are, or were when counting stopped.
        actual: u64,
        /// How many are accepted.
        max: u64,
    },
    /// A batch would give its dataset more partitions than one may have.
    #[error(
        "`{dataset}` would have {actual} partitions, {max} are accepted; divide it by a longer time or by fewer values or buckets"
    )]
    TooManyPartitions {
        /// The dataset.
        dataset: DatasetName,
        /// How many there would be.
        actual: usize,
        /// How many are accepted.
        max: usize,
    },
    /// The manifest has no room for more.
    #[error("the store holds {max} {unit}, the most it may; load fewer, larger files")]
    Full {
        /// What is counted.
        unit: &'static str,
        /// How many are accepted.
        max: usize,
    },
    /// The columns of a file to load are not the dataset's.
    #[error("the file does not fit dataset `{dataset}`: {problem}")]
    Header {
        /// The dataset.
        dataset: DatasetName,
        /// Which column is the trouble.
        problem: HeaderProblem,
    },
    /// A file to load is not well-formed.
    #[error("the file cannot be read as {format} after row {row}: {problem}")]
    Malformed {
        /// What it was read as.
        format: Format,
        /// Rows read before, at least.
        row: u64,
        /// What is wrong.
        problem: String,
    },
    /// One row of a text, or one message of an Arrow stream, is larger than it may be.
    #[error("the {what} after row {row} exceeds {max} {unit}; {advice}")]
    Oversized {
        /// What is too large.
        what: &'static str,
        /// Rows read before.
        row: u64,
        /// How much is accepted.
        max: u64,
        /// What is counted.
        unit: &'static str,
        /// What to do or to look for.
        advice: &'static str,
    },
    /// The rows broke off on their way.
    #[error("the rows did not arrive whole: {source}; send them again")]
    Source {
        /// What the source said.
        source: io::Error,
    },
    /// Rows are to be found by a key that the dataset does not have.
    #[error("dataset `{dataset}` has no primary key, so none of its rows can be deleted by one")]
    NoKey {
        /// The dataset.
        dataset: DatasetName,
    },
    /// Rows of a file were refused, and so the whole file.
    #[error("{} refused; first: {}", if *refused == 1 { "1 row was".to_owned() } else { format!("{refused} rows were") }, first.first().map_or_else(String::new, ToString::to_string))]
    RowsRefused {
        /// Rows refused. Once one is, keys repeated far apart in the file are no longer looked for.
        refused: u64,
        /// The first of them, in the order of the file.
        first: Vec<RefusedRow>,
    },
    /// A computation on columns failed, for example because they exceed what one array may hold.
    #[error("the rows cannot be processed: {source}")]
    Compute {
        /// What the kernel said.
        #[from]
        source: ArrowError,
    },
    /// Writing a segment failed.
    #[error("cannot write segment {}: {source}", path.display())]
    Write {
        /// The segment file.
        path: PathBuf,
        /// What the writer said.
        source: ParquetError,
    },
    /// A place in the write-ahead log cannot be read.
    #[error("write-ahead log {} cannot be read at offset {offset}: {problem}", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        problem: LogProblem,
    },
    /// Rows of a dataset are missing, so that none of them are given.
    #[error("dataset `{dataset}` cannot be read, since rows of it are damaged: {source}")]
    Damaged {
        /// The dataset.
        dataset: DatasetName,
        /// What is damaged.
        source: Arc<StoreError>,
    },
    /// The store takes no writes until it is opened again.
    #[error("the store takes no writes: {source}; mend the cause and restart the region")]
    ReadOnly {
        /// Why.
        source: Arc<StoreError>,
    },
    /// A write was not done; nothing changed, and the next attempt may succeed.
    #[error("nothing was stored: {source}; make room or mend the disk, and try again")]
    Hindered {
        /// Why.
        source: Arc<StoreError>,
    },
    /// The commit of a group failed, and so of this batch.
    #[error(transparent)]
    Group {
        /// What happened to the group.
        source: Arc<StoreError>,
    },
    /// An idempotency key came again with other content.
    #[error("idempotency key `{key}` came before with other content; take a new key for a new batch")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// Rows of the dataset changed after a batch was checked against them.
    #[error("dataset `{dataset}` changed while the batch was prepared; send the batch again")]
    Stale {
        /// The dataset.
        dataset: DatasetName,
    },
    /// Rows of a replicated dataset were stored before it was replicated.
    #[error(
        "dataset `{dataset}` has rows that were stored before it was in replication set `{set}`, and that no other region \
         would get; start with a new `data_dir` and load them again, or take the dataset out of the set"
    )]
    NotShared {
        /// The dataset.
        dataset: DatasetName,
        /// The replication set.
        set: SetName,
    },
    /// Bytes that are not an entry of a log.
    #[error("these bytes are no entry of a log; ask its sender for it again")]
    NoEntry,
    /// The rows of an entry of a log cannot be used.
    #[error("entry {dot} of dataset `{dataset}` {problem}")]
    Entry {
        /// Which entry.
        dot: Dot,
        /// The dataset.
        dataset: DatasetName,
        /// Why not.
        problem: EntryProblem,
    },
    /// An entry came before one that it follows.
    #[error("entry {dot} came before others that it follows; these have to be applied first")]
    EntryAhead {
        /// Which entry.
        dot: Dot,
    },
    /// Entries are wanted that are not kept any more.
    #[error("entries of {origin} in replication set `{set}` are not kept any more; start from a snapshot")]
    EntriesGone {
        /// The replication set.
        set: SetName,
        /// Whose log.
        origin: Origin,
    },
    /// A snapshot of a set, or an entry that was set aside.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapProblem),
    /// A segment is in cold storage, and the region has none.
    #[error("segment {object} is in cold storage, which is not configured; restore `cold_url` in the region's file")]
    NoColdStorage {
        /// The segment's object.
        object: String,
    },
    /// A backup cannot be made or used.
    #[error("backup {name}: {problem}")]
    Backup {
        /// The backup.
        name: String,
        /// Why.
        problem: BackupProblem,
    },
    /// The other side of an object store refused, or cannot be reached.
    #[error("cannot {action} object {name}: {source}")]
    Objects {
        /// What was tried, as a verb.
        action: &'static str,
        /// The object.
        name: String,
        /// What it said.
        source: io::Error,
    },
    /// A record or edit cannot be written as text.
    #[error("cannot encode: {source}")]
    Encoding {
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// An earlier commit or append failed half-way; only a fresh open knows the state on disk.
    #[error("{} is in an unknown state after a failed write; restart to recover it", path.display())]
    Poisoned {
        /// The manifest or journal.
        path: PathBuf,
    },
    /// A journal record is too long, or has a line break in it.
    #[error("a journal record is one line of at most {max} bytes, this one has {actual}")]
    Record {
        /// Bytes accepted.
        max: usize,
        /// Bytes found.
        actual: usize,
    },
    /// A blob's content is not what its name says.
    #[error("blob {} is damaged: its SHA-256 digest is {actual}; put it again", path.display())]
    Blob {
        /// The blob file.
        path: PathBuf,
        /// Digest of what it holds.
        actual: Digest,
    },
}

impl StoreError {
    /// The wrapper for an I/O error: `result.map_err(StoreError::io("open", path))`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// The wrapper for an error of an object store.
    pub(crate) fn objects(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Objects { action, name: name.to_owned(), source }
    }

    pub(crate) fn unknown<'a>(dataset: &DatasetName, known: impl IntoIterator<Item = &'a str>) -> Self {
        let nearest = domicile_types::nearest(dataset.as_str(), known).map(str::to_owned);
        Self::UnknownDataset { dataset: dataset.clone(), nearest }
    }

    pub(crate) fn encoding(source: serde_json::Error) -> Self {
        Self::Encoding { source }
    }

    /// What is wrong with a segment, where this says so.
    pub(crate) fn segment_problem(&self) -> Option<&SegmentProblem> {
        match self {
            Self::Segment { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The same damage once more; none where it is something else.
    pub(crate) fn copy(&self) -> Option<Self> {
        let Self::Log { path, offset, problem } = self else { return None };
        Some(Self::Log { path: path.clone(), offset: *offset, problem: problem.clone() })
    }

    /// Whether this says that a backup is not what was written.
    pub fn is_damaged_backup(&self) -> bool {
        matches!(self, Self::Backup { problem: BackupProblem::Damaged | BackupProblem::Segment { .. }, .. })
    }

    /// Whether the disk is full, which more room mends.
    pub fn is_storage_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Hindered { source } | Self::Group { source } | Self::ReadOnly { source } => source.is_storage_full(),
            _ => false,
        }
    }
}
