//! Sync: every region of a replication set ends up with the same rows, nothing that was acknowledged is lost, and what
//! was written at two places at once is settled the same way everywhere.
//!
//! Synchronous state machines without I/O of their own: the store, its disk, the time and the network are passed in, so
//! that all of it runs in a deterministic simulation. A [`Replica`] says what to ask of whom, answers what is asked, and
//! applies what comes.

mod apply;
mod budget;
pub mod conflict;
mod error;
mod exchange;
mod freshness;
mod joiner;
mod lag;
mod ledger;
mod link;
mod membership;
mod message;
mod pause;
mod pending;
mod planted;
mod replay;
mod replica;
mod resolution;
mod settle;
mod siblings;
mod sponsor;
mod stability;
mod standing;
mod system;

pub use apply::{Applied, Applier, Policy};
pub use error::SyncError;
pub use joiner::Joiner;
pub use lag::LogLag;
pub use ledger::{ListedConflict, conflicts};
pub use link::Refusal;
pub use membership::log_change;
pub use message::{Answer, News, Pull, SnapshotAnswer, SnapshotAsk};
pub use pause::Pauses;
#[cfg(feature = "planted-bugs")]
pub use planted::Planted;
pub use replay::{Replay, ReplayError, Replayed};
pub use replica::{Replica, ReplicaStatus};
pub use resolution::Resolution;
pub use sponsor::Sponsor;
pub use standing::Standing;
pub use system::{CONFLICTS, SIBLINGS, SystemError, rows_about, system_specs};
