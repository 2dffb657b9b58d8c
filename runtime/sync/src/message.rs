//! What regions ask of each other, and answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use domicile_store::{Entry, Reach, Want};
use domicile_types::{Origin, RegionId, SetName, Vector};

/// Asks another region for entries. It says at the same time what the asking region has for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The replication set.
    pub set: SetName,
    /// What the asking region has applied; all of it is durable there.
    pub have: Vector,
    /// What has come to it as well, and waits there for other entries: each log's without gaps after `have`.
    pub holds: Vector,
    /// The epoch of the log that the asking region writes.
    pub epoch: u32,
    /// The regions whose logs are wanted; all where none is named.
    pub regions: Vec<RegionId>,
    /// Whether an answer is wanted even where there is nothing to say: the asking region does not know yet whether it
    /// wrote anything before.
    pub at_once: bool,
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
    /// The log of the asking region has ended: it was given up, or has come back under another log since.
    Fenced,
}

/// Asks another region for a snapshot of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotAsk {
    /// For the list of what it consists of. From then on nothing may count for the asking region but what comes with it.
    List {
        /// The replication set.
        set: SetName,
        /// What the asking region has applied.
        have: Vector,
        /// Of the logs among these that an entry gave out, what their first entries follow at least.
        starts: BTreeMap<Origin, Vector>,
        /// The epoch that it was given for its next log and has not begun to use; none where it has none, or does not
        /// know any more.
        life: Option<u32>,
    },
    /// For a part of a file.
    Part {
        /// The replication set.
        set: SetName,
        /// Which file, and from where on.
        want: Want,
    },
}

/// What a region answers to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotAnswer {
    /// The list, for [`Store::stage`](domicile_store::Store::stage).
    List(Bytes),
    /// It has to be asked again later.
    NotYet {
        /// The epoch that the asking region is given, where it is already.
        life: Option<u32>,
    },
    /// At most [`PART_BYTES_MAX`](domicile_types::limits::PART_BYTES_MAX) bytes of the file.
    Part(Bytes),
    /// It has no such file for the asking region any more; the list has to be asked for again.
    Gone,
    /// The asking region may not have this set.
    NotPermitted,
}
