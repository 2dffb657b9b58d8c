//! Why a backup cannot be made or used.

use domicile_types::{DatasetName, SetName};

use super::Selection;
use crate::SegmentProblem;

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
    /// A segment of it is not what was written.
    #[error("its segment {address} cannot be used: {problem}; take another backup, or restore an older one")]
    Segment {
        /// Where the segment is.
        address: String,
        /// What is wrong with it.
        problem: SegmentProblem,
    },
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
    /// One dataset is to go back that other regions have too.
    #[error(
        "dataset `{dataset}` is in replication set `{set}`, and the other regions have its newer rows; restore everything \
         into a new `data_dir`, or load the rows again"
    )]
    Replicated {
        /// The dataset.
        dataset: DatasetName,
        /// The replication set.
        set: SetName,
    },
    /// It does not have what is to be restored.
    #[error("it does not have {selection}, it has {has}")]
    NotInIt {
        /// What was asked for.
        selection: String,
        /// What it has.
        has: String,
    },
    /// A partition is named that does not exist.
    #[error("there is no {selection}; {}", known_partitions(.nearest.as_deref(), .known, *.more))]
    NoPartition {
        /// What was asked for.
        selection: String,
        /// The most similar name that exists.
        nearest: Option<String>,
        /// A few names that exist.
        known: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// Everything is to be restored over something.
    #[error("everything is restored into an empty `data_dir` only, and this one has rows; or name one dataset")]
    NotEmpty,
    /// One partition cannot be backed up or replaced without the others.
    #[error("rows of dataset `{dataset}` may move from one partition to another; name the whole dataset")]
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

/// Names that a refusal shows where none of them was asked for.
const PARTITIONS_SHOWN: usize = 3;

impl BackupProblem {
    /// The refusal of a partition that is none of `names`.
    pub(super) fn no_partition(selection: &Selection, wanted: &str, names: &[String]) -> Self {
        Self::NoPartition {
            selection: selection.to_string(),
            nearest: domicile_types::nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned),
            known: names.iter().take(PARTITIONS_SHOWN).cloned().collect(),
            more: names.len().saturating_sub(PARTITIONS_SHOWN),
        }
    }
}

fn known_partitions(nearest: Option<&str>, known: &[String], more: usize) -> String {
    let listed = match (known, more) {
        ([], _) => return "it has no rows".to_owned(),
        (known, 0) => format!("`{}`", known.join("`, `")),
        (known, more) => format!("`{}` and {more} more", known.join("`, `")),
    };
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`? It has {listed}"),
        None => format!("it has {listed}"),
    }
}
