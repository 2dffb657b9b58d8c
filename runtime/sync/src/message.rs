//! What regions ask of each other, and answer.

use domicile_store::{Entry, Reach};
use domicile_types::{RegionId, SetName, Vector};

/// Asks another region for entries. It says at the same time what the asking region has for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The replication set.
    pub set: SetName,
    /// What the asking region has applied; all of it is durable there.
    pub have: Vector,
    /// What waits there to be applied, log by log without gaps from what it has on: not durable, but not to be sent again.
    pub waiting: Vector,
    /// The regions whose logs are wanted; all where none is named.
    pub regions: Vec<RegionId>,
    /// By how many milliseconds the clock of the region that is asked is ahead of the asking one's, as far as its entries
    /// show; 0 where it is not too far ahead.
    pub ahead_ms: u64,
    /// Bytes that the entries of the answer may have, unless one alone has more.
    pub bytes_max: u64,
    /// How far the asking region's own log goes beyond what it knows the asked one to have.
    pub reaches: Vec<Reach>,
}

/// What a region says beside entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// How far logs go beyond what the asking region has, the entries of this answer included.
    pub reaches: Vec<Reach>,
    /// Since when the answering region asks the asking one for nothing, since it is paused, in Unix milliseconds.
    pub paused_ms: Option<u64>,
}

/// What a region answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Entries, each log's without gaps from what the asking region has on.
    Entries {
        /// In an order in which they can be applied, as far as all logs were asked for.
        entries: Vec<Entry>,
        /// Whether there are more.
        more: bool,
        /// What else there is to say.
        news: News,
    },
    /// Entries that the asking region lacks are not kept any more.
    SnapshotRequired,
    /// The asking region may not have this set.
    NotPermitted,
}
