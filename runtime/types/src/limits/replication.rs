//! Bounds on what regions of a replication set send each other, and keep for each other.

use std::time::Duration;

use super::LOG_RECORD_BYTES_MAX;

/// Bytes of entries that one answer to a pull has, unless one entry alone has more.
pub const PULL_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes of an answer to a pull, packed and unpacked: one entry may be as large as a record of the log.
pub const PULL_ANSWER_BYTES_MAX: usize = LOG_RECORD_BYTES_MAX + 2 * 1024 * 1024;
/// Bytes a second that an answer to a pull has to bring on average, apart from one pause of the longest kind.
pub const PULL_BYTES_PER_S_MIN: u64 = 4 * 1024;
/// Most bytes a second that a region may let come from another one's logs.
pub const LOG_BYTES_PER_S_MAX: u64 = 1024 * 1024 * 1024 * 1024;
/// Bytes of entries of one set that wait for others they follow, with those that are asked for.
pub const PENDING_ENTRIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Entries that are made durable at once.
pub const APPLY_ENTRIES_MAX: usize = 256;
/// Milliseconds by which the clocks of regions may differ. Entries from further ahead wait.
pub const CLOCK_DRIFT_MS_MAX: u64 = 500;
/// Milliseconds after which a region says in its log what it has applied since its last entry.
pub const HEARTBEAT_MS: u64 = 1_000;
/// Milliseconds until a region that did not answer is asked again, at most.
pub const PULL_RETRY_MS_MAX: u64 = 5_000;
/// Milliseconds until a region is asked again whose answer had nothing but what waits here already.
pub const PULL_REPEAT_MS: u64 = 1_000;
/// Questions for entries of one set that wait for an answer.
pub const PULLS_WAITING_MAX: usize = 64;
/// Milliseconds for which a question for entries waits where there is nothing new.
pub const PULL_WAIT_MS: u64 = 10_000;
/// The same of a set with a home, whose copies are not known to be fresh before the answer.
pub const COPY_PULL_WAIT_MS: u64 = 1_000;
/// Milliseconds between looks at which regions answer, where copies can stand in for homes.
pub const ROUTE_PROBE_MS: u64 = 1_000;
/// Longest that a copy may be behind its home as callers put it, in seconds.
pub const STALENESS_S_MAX: u64 = 10 * 365 * 24 * 3600;
/// Milliseconds after which a question for entries counts as not answered: nothing came for so long.
pub const PULL_TIMEOUT_MS: u64 = 30_000;
/// Milliseconds after which a region looks what sync has to do although nothing happened.
pub const SYNC_TICK_MS: u64 = 100;
/// Bytes of all conflicts that are listed at once.
pub const CONFLICTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Milliseconds for which a write waits until other regions have it.
pub const ACKNOWLEDGE_TIMEOUT_MS: u64 = 15_000;
/// The greatest number that an entry of a log can have: a million a second reach it in eight years.
pub const ENTRY_NUMBER_MAX: u64 = 1 << 48;
/// Logs of one set that a region keeps in mind as being behind.
pub const SET_LOGS_MAX: usize = 1_024;
/// Characters of a session: what a client takes along of what it has written and read.
pub const SESSION_BYTES_MAX: usize = 4_096;
/// Longest that a question waits for what its session has seen.
pub const SESSION_WAIT_MAX: Duration = Duration::from_secs(10);
/// Bytes of entries of one set that are kept for members that do not fetch them. What is beyond goes once it is stable,
/// and who lacked it has to start from a snapshot.
pub const RETAINED_LOG_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Milliseconds for which a region that has nothing of a set, where others have, waits for all of them to say that it
/// never wrote anything. Then it is given a log of its own.
pub const UNSURE_MS_MAX: u64 = 10_000;
/// Milliseconds for which others may say that a region which was let in may not have a set, before it asks to be let in
/// again.
pub const REFUSED_MS_MAX: u64 = 20_000;
/// Milliseconds for which rows wait where a region does not know yet whether it takes part in their set.
pub const FOOTING_WAIT_MS: u64 = 10_000;
/// Snapshots of sets that a region offers at the same time.
pub const OFFERS_MAX: usize = 4;
/// Milliseconds after which an offer that nobody fetches from is dropped.
pub const OFFER_IDLE_MS_MAX: u64 = 600_000;
/// Bytes of a file of a snapshot that one answer has.
pub const PART_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of the list of a snapshot's files.
pub const OFFER_LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of entries that were set aside. Where they have more, no more are taken in.
pub const QUARANTINE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Milliseconds until a region that cannot offer a snapshot yet is asked again.
pub const OFFER_RETRY_MS: u64 = 500;
