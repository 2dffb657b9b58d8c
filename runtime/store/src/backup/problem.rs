//! Why a backup cannot be made or used.

use domicile_types::DatasetName;

/// Why a backup was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupProblem {
    /// Another one is being made.
    #[error("another backup is being made; wait until it is done")]
    Busy,
    /// There is none.
    #[error("there is no such backup")]
    Missing,
    /// The list of its segments is not what was written.
    #[error("the list of its segments is damaged; take another backup")]
    Damaged,
    /// The list is in a format that this version does not read.
    #[error("it is not in a format that this version reads")]
    Format,
    /// The list is longer than any that was written.
    #[error("the list of its segments has {actual} bytes, {max} are read")]
    TooLarge {
        /// Bytes found.
        actual: u64,
        /// Bytes accepted.
        max: u64,
    },
    /// It is of another region.
    #[error("it is of region `{found}`; rows are restored where they are at home")]
    Region {
        /// The region that it names.
        found: String,
    },
    /// It has a dataset that is not configured.
    #[error("it has dataset `{dataset}`, which is not configured; restore its dataset file first")]
    Dataset {
        /// The dataset's name.
        dataset: String,
    },
    /// A dataset was described otherwise.
    #[error("dataset `{dataset}` is described otherwise now; restore its dataset file first")]
    Shape {
        /// The dataset.
        dataset: DatasetName,
    },
    /// It does not have what is to be restored.
    #[error("it does not have {selection}")]
    NotInIt {
        /// What was asked for.
        selection: String,
    },
    /// A partition is named that does not exist.
    #[error("there is no {selection}")]
    NoPartition {
        /// What was asked for.
        selection: String,
    },
    /// Everything is to be restored over something.
    #[error("everything is restored into an empty `data_dir` only, and this one has rows; or name one dataset")]
    NotEmpty,
    /// One partition cannot be replaced without the others.
    #[error("rows of dataset `{dataset}` may move from one partition to another; restore the whole dataset")]
    RowsMove {
        /// The dataset.
        dataset: DatasetName,
    },
    /// Rows in it have another home.
    #[error("it has rows of dataset `{dataset}` whose home is not this region: {first}")]
    Home {
        /// The dataset.
        dataset: DatasetName,
        /// The first of them.
        first: String,
    },
}
