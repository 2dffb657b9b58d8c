//! What can be wrong with descriptions, files and columns: the details of errors.

use domicile_types::{DatasetError, DatasetName, SetName, suggestion};

/// Why the rows of an entry of a log cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// They have other columns than the dataset has here.
    #[error("does not fit it as it is here; bring its dataset file to the state of the other regions")]
    Columns,
    /// They do not say what they change.
    #[error(
        "does not say what it changes in its rows, or names entries that it cannot know; bring the region that wrote it \
         to the version of the others"
    )]
    Notes,
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
    /// A replicated dataset whose rows may move between partitions.
    #[error("it is in replication set `{set}`, so the columns that divide it must be part of its primary key")]
    ReplicatedMoves {
        /// The replication set.
        set: SetName,
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
    /// A checksum does not match.
    #[error("its checksum does not match at offset {offset}; restore it from a backup")]
    Checksum {
        /// Where in the file, in bytes.
        offset: u64,
    },
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

/// Why a place in the write-ahead log was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogProblem {
    /// What lies there is not what was written, though later records are whole.
    #[error("it is damaged, and later records are whole; restore the store from a backup")]
    Damaged,
    /// The start of a file is not what was written.
    #[error("its header is damaged, though records follow it; restore the store from a backup")]
    Header,
    /// It is not there, though rows were acknowledged that only it has.
    #[error("it is missing; restore it from a backup")]
    Missing,
    /// It belongs to another region.
    #[error("it belongs to region `{found}`; set `data_dir` to this region's own directory")]
    Region {
        /// The region that it names.
        found: String,
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
    /// A block is not what was written.
    #[error("its content is damaged between offset {first} and {last}")]
    Checksum {
        /// First byte of the block in the file.
        first: u64,
        /// Last byte of the block.
        last: u64,
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
    /// A column that a deletion does not name.
    #[error("column `{column}` is not part of the primary key; a deletion names the key's columns and no others")]
    NotKey {
        /// The file's column.
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
