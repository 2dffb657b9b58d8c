//! Every way in which storage fails.

use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use domicile_types::{DatasetError, DatasetName, Digest, RegionId, suggestion};
use parquet::errors::ParquetError;

use crate::FileFormat;
use crate::refusals::RefusedRow;

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
    #[error("segment {} cannot be used: {problem}; restore the file from a backup", path.display())]
    Segment {
        /// The segment file.
        path: PathBuf,
        /// What is wrong with it.
        problem: SegmentProblem,
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
    /// A file to load is not well-formed CSV.
    #[error("the file cannot be read as CSV after row {row}: {source}")]
    Csv {
        /// Data rows read before, at least.
        row: u64,
        /// What the reader said.
        source: ArrowError,
    },
    /// A run of CSV rows is larger than a batch may be.
    #[error("the rows after row {row} exceed {max} bytes; look for a quote that is never closed")]
    CsvBatch {
        /// Data rows read before.
        row: u64,
        /// Bytes that a batch may have.
        max: usize,
    },
    /// A file to load is not well-formed Parquet.
    #[error("the file cannot be read as Parquet after row {row}: {source}")]
    Parquet {
        /// Rows read before.
        row: u64,
        /// What the reader said.
        source: ParquetError,
    },
    /// Rows of a file were refused, and so the whole file.
    #[error("{refused} rows were refused, so nothing was loaded; first: {}", first.first().map_or_else(String::new, ToString::to_string))]
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

/// Why a dataset's description was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecProblem {
    /// Two datasets of one name.
    #[error("it is described twice")]
    Repeated,
    /// A column is named that does not exist.
    #[error(transparent)]
    Column(#[from] DatasetError),
    /// A decimal type outside of what exists.
    #[error("column `{column}` needs a decimal precision of 1 to 38 and a scale of 0 to the precision")]
    Decimal {
        /// The column.
        column: String,
    },
    /// A residency column that is neither integer nor text, or whose homes are of another type.
    #[error("residency column `{column}` and the values in its map must be all integers or all texts")]
    HomeType {
        /// The residency column.
        column: String,
    },
    /// The dataset referred to does not exist.
    #[error("it follows `{parent}`, which does not exist{}", suggestion(.nearest.as_deref()))]
    NoParent {
        /// The dataset referred to.
        parent: DatasetName,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// The dataset referred to is reference data, whose rows have no home.
    #[error("it follows `{parent}`, which is reference data and has no home")]
    ReferenceParent {
        /// The dataset referred to.
        parent: DatasetName,
    },
    /// The dataset referred to lacks a key of one column and of the type of the column that refers to it.
    #[error("column `{column}` must have the type of a single-column primary key of `{parent}`")]
    ParentKey {
        /// The dataset referred to.
        parent: DatasetName,
        /// The column that refers.
        column: String,
    },
    /// Following leads in a circle.
    #[error("following `follows` from it leads in a circle")]
    Circle,
}

/// Why a manifest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestProblem {
    /// It is missing although segments are there.
    #[error("it is missing although segments exist; restore it from a backup")]
    Missing,
    /// It is of a format that this version does not read.
    #[error("it is not in a format that this version reads")]
    Format,
    /// Its checksum does not match.
    #[error("its checksum does not match; restore it from a backup")]
    Checksum,
    /// It belongs to another region.
    #[error("it belongs to region `{found}`; set `data_dir` to this region's own directory")]
    Region {
        /// The region that it names.
        found: String,
    },
    /// It names a dataset that is not configured.
    #[error("it holds dataset `{dataset}`, which is not configured; restore its dataset file")]
    Dataset {
        /// The dataset's name.
        dataset: String,
    },
}

/// Why a segment was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentProblem {
    /// The file is gone.
    #[error("it is missing")]
    Missing,
    /// The file is shorter or longer than it was.
    #[error("it has {actual} bytes instead of {expected}")]
    Size {
        /// Bytes recorded.
        expected: u64,
        /// Bytes found.
        actual: u64,
    },
    /// The content is not what was written.
    #[error("its content is damaged")]
    Damaged,
    /// Its columns are not those that the dataset now has.
    #[error("its columns are not those of dataset `{dataset}` as now described")]
    Schema {
        /// The dataset.
        dataset: DatasetName,
    },
}

/// Why the columns of a file were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// There is no header row.
    #[error("its first row must name the columns, and it has no row")]
    Empty,
    /// A column that the dataset does not have.
    #[error("it has no column `{column}`{}", suggestion(.nearest.as_deref()))]
    Unknown {
        /// The file's column.
        column: String,
        /// The most similar column of the dataset.
        nearest: Option<String>,
    },
    /// A column of the dataset that the file does not have.
    #[error("column `{column}` is missing from the file")]
    Missing {
        /// The dataset's column.
        column: String,
    },
    /// A column that is there twice.
    #[error("the file has two columns named `{column}`")]
    Repeated {
        /// The repeated name.
        column: String,
    },
    /// A column of a type that cannot become the dataset's.
    #[error("column `{column}` of the file has type {found}, which cannot become {expected}")]
    Type {
        /// The column.
        column: String,
        /// The dataset's type.
        expected: String,
        /// The file's type.
        found: String,
    },
}

impl StoreError {
    /// The wrapper for an I/O error: `result.map_err(StoreError::io("open", path))`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn unknown<'a>(dataset: &DatasetName, known: impl IntoIterator<Item = &'a str>) -> Self {
        let nearest = domicile_types::nearest(dataset.as_str(), known).map(str::to_owned);
        Self::UnknownDataset { dataset: dataset.clone(), nearest }
    }

    /// The wrapper for trouble with a segment that was whole when the store was opened.
    pub(crate) fn damaged<E>(path: &Path) -> impl FnOnce(E) -> Self {
        move |_| Self::Segment { path: path.to_owned(), problem: SegmentProblem::Damaged }
    }

    pub(crate) fn format_error(format: FileFormat, row: u64, source: ArrowError) -> Self {
        match format {
            FileFormat::Csv => Self::Csv { row, source },
            FileFormat::Parquet => Self::Parquet { row, source: ParquetError::External(Box::new(source)) },
        }
    }
}
