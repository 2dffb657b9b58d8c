//! Why a snapshot cannot be given or installed, or an entry that was set aside not be used.

use domicile_types::{Dot, SetName};

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapProblem {
    /// The list cannot be read.
    #[error("the list of a snapshot cannot be read, or is of another version; let both regions run the same version")]
    List,
    /// The snapshot does not fit what is stored here.
    #[error(
        "the snapshot of replication set `{set}` does not fit the datasets here; bring their files to the same state"
    )]
    Misfit {
        /// The replication set.
        set: SetName,
    },
    /// Files are missing or damaged.
    #[error("the snapshot of replication set `{set}` is not whole here; fetch what is missing")]
    Unfinished {
        /// The replication set.
        set: SetName,
    },
    /// Rows are on their way into segments.
    #[error("recent rows are on their way into segments; finish the background work and try again")]
    Busy,
    /// More entries were set aside than there is room for.
    #[error("entries that were set aside take more than {max} bytes; commit them again, or drop some")]
    QuarantineFull {
        /// How many bytes they may take.
        max: u64,
    },
    /// No such entry was set aside.
    #[error("entry {dot} is not among those that were set aside; list them to see which are")]
    NotQuarantined {
        /// Which entry.
        dot: Dot,
    },
    /// An entry that was set aside may still come to count.
    #[error("entry {dot} may still come from another region; wait until the log that it is of is fenced")]
    Undecided {
        /// Which entry.
        dot: Dot,
    },
}
