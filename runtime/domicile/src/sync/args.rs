//! What can be typed about replication.

use clap::Subcommand;

/// How replication is.
#[derive(Debug, Subcommand)]
pub(crate) enum SyncVerb {
    /// What has arrived from which region, and what waits.
    Status,
    /// Ask no other region for rows of a set, and apply none, until `resume`. Others still get this region's rows.
    Pause {
        /// The replication set.
        set: String,
        /// Only what this region writes: it is not asked, and its rows wait, with all that was written knowing of them.
        #[arg(long, value_name = "REGION")]
        from: Option<String>,
    },
    /// Go on with a set that is paused.
    Resume {
        /// The replication set.
        set: String,
        /// Only with what this region writes.
        #[arg(long, value_name = "REGION")]
        from: Option<String>,
    },
    /// The rows that were written at two places at once, and which version of each counts.
    Conflicts {
        #[command(subcommand)]
        verb: Option<ConflictsVerb>,
    },
    /// Let another version of such a row count. It is written anew, over all that this region has by now.
    Resolve {
        /// The dataset.
        dataset: String,
        /// The key of the row, as `sync conflicts` shows it: `["7"]`.
        key: String,
        /// The version that is to count, as `sync conflicts` shows it: `eu-central.0:17`.
        version: String,
    },
    /// Give up a region that is dead or cut off for good, so that the others wait for it no longer.
    Fence {
        /// The region.
        region: String,
        /// The replication set; all that it is in where none is named.
        #[arg(long)]
        set: Option<String>,
        /// Do it. Otherwise only what it means is shown.
        #[arg(long)]
        yes: bool,
    },
    /// Entries of logs that ended, which count nowhere and are not lost.
    #[command(subcommand)]
    Quarantine(QuarantineVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineVerb {
    /// Which there are.
    List,
    /// Write the rows of one anew, over whatever counts by now.
    Retry {
        /// The entry, as `sync quarantine list` shows it: `eu-west.0:17`.
        entry: String,
        /// The replication set, where several have an entry of this name.
        #[arg(long)]
        set: Option<String>,
    },
    /// Forget one for good.
    Drop {
        /// The entry, as `sync quarantine list` shows it: `eu-west.0:17`.
        entry: String,
        /// The replication set, where several have an entry of this name.
        #[arg(long)]
        set: Option<String>,
    },
}

/// What is done with conflicts, but listing them.
#[derive(Debug, Subcommand)]
pub(crate) enum ConflictsVerb {
    /// Show which versions would have counted under another policy. Nothing is changed.
    Replay {
        /// The dataset.
        dataset: String,
        /// The policy of rows: lww, first_write, origin_priority or manual; the dataset's own by default.
        #[arg(long)]
        policy: Option<String>,
        /// With origin_priority: the regions, the first first, separated by commas.
        #[arg(long, value_name = "REGIONS")]
        origins: Option<String>,
        /// Only this row, as `sync conflicts` shows its key: `["7"]`.
        #[arg(long)]
        key: Option<String>,
    },
}
