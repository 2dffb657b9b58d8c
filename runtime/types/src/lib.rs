//! The words that every other crate shares: names, datasets, homes, limits.
//!
//! Plain data without I/O, serialization or Arrow: each outer format (TOML, HTTP, Arrow, Parquet) is mapped
//! to these types in the crate that owns the format.

mod conflict;
mod dataset;
mod digest;
mod hlc;
pub mod limits;
mod membership;
mod name;
mod partition;
mod replication;
mod residency;
mod secret;
mod suggest;
mod vector;

pub use conflict::{ColumnPolicy, ConflictPolicy, ConflictPolicyError, MERGE_COLUMN, RowPolicy};
pub use dataset::{Column, ColumnType, Dataset, DatasetError};
pub use digest::{Digest, DigestError};
pub use hlc::Hlc;
pub use membership::{Change, Life, Members};
pub use name::{DatasetName, NameError, PluginName, QueryId, RegionId, SetName};
pub use partition::{BUCKETS_MAX, Every, Lifecycle, Partitioning, TimePartition, ValuePartition};
pub use replication::{Acknowledge, AcknowledgeError, LogCompression, LogLink, ReplicationSet};
pub use residency::{HomeMap, KeyValue, Residency};
pub use secret::Secret;
pub use suggest::{is_slip_of, nearest, suggestion};
pub use vector::{Dot, Mark, Numbers, Origin, Vector, entry_number};
