//! Every way in which sync fails.

use crate::SystemError;
use crate::conflict::{SiblingsError, Unavailable};
use arrow::error::ArrowError;
use domicile_store::StoreError;
use domicile_types::{DatasetName, Dot, NameError, RegionId, SetName};

/// Why entries cannot be applied or given.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rows cannot be compared or put together.
    #[error("rows of concurrent versions cannot be processed: {source}")]
    Compute {
        /// What the kernel said.
        #[from]
        source: ArrowError,
    },
    /// A version is gone that is still needed.
    #[error("entry {dot} of replication set `{set}` is not kept, though a row of `{dataset}` still needs it")]
    VersionGone {
        /// The replication set.
        set: SetName,
        /// Which entry.
        dot: Dot,
        /// The dataset of the row.
        dataset: DatasetName,
    },
    /// A region cannot be given up.
    #[error(
        "region `{region}` has no log in replication set `{set}` that could be given up here; see `members` for who has"
    )]
    NotMember {
        /// The replication set.
        set: SetName,
        /// The region.
        region: RegionId,
    },
    /// A dataset without a conflict policy.
    #[error("dataset `{dataset}` is not replicated here; add it to the replication set")]
    NoPolicy {
        /// The dataset.
        dataset: DatasetName,
    },
    /// A version that a conflict does not have.
    #[error("there is no version `{version}` in a conflict of row {key}; there are: {versions}")]
    NoVersion {
        /// The version that was asked for.
        version: String,
        /// The key of the row.
        key: String,
        /// Those that there are.
        versions: String,
    },
    /// What is noted of a conflict cannot be read.
    #[error("what is noted of a conflict of row {key} cannot be read")]
    Unreadable {
        /// The key of the row.
        key: String,
    },
    /// Versions of a row do not belong together.
    #[error(transparent)]
    Siblings(#[from] SiblingsError),
    /// The datasets of what is known of concurrent versions cannot be described.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The plugin that resolves conflicts cannot be asked here now.
    #[error("concurrent versions of dataset `{dataset}` wait for the plugin that resolves its conflicts: {source}")]
    Plugin {
        /// The dataset.
        dataset: DatasetName,
        /// What is lacking.
        source: Unavailable,
    },
    /// A name that is kept is none.
    #[error("what is kept about concurrent versions has a name that is none: {0}")]
    Name(#[from] NameError),
    /// What is kept about concurrent versions cannot be read.
    #[error("what is kept about concurrent versions cannot be read: {source}")]
    Text {
        /// What the parser said.
        #[from]
        source: serde_json::Error,
    },
}
