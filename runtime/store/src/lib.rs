//! Storage of one region: a write-ahead log, immutable Parquet segments by partition, and a manifest of edits.
//!
//! Synchronous code for one owner: [`Preparer`]s check batches on any thread, [`Store`] commits them, any number of
//! [`StoreReader`]s read. Background work comes as [`Job`]s that the owner has run elsewhere. Nothing here knows a
//! clock, randomness or threads: moments are passed in, the disk is a trait. Beside the store are the two other durable
//! shapes that a region needs: an append-only [`Journal`] and content-addressed [`Blobs`].

mod apply;
mod backup;
mod blobs;
mod blocks;
mod bootstrap;
mod bounds;
mod catalog;
mod chunk;
mod commit;
mod compact;
mod digesting;
mod disk;
mod draft;
mod error;
mod flush;
mod hash;
mod health;
mod homes;
mod input;
mod jobs;
mod journal;
mod known;
mod lifecycle;
mod local_disk;
mod logs;
mod lookup;
mod manifest;
mod membership;
mod merge;
mod noting;
mod objects;
mod parents;
mod partition;
mod prepare;
mod problems;
mod recent;
mod recover;
mod refusals;
mod rows;
mod segment;
mod sizes;
mod snapshot;
mod store;
mod summary;
mod synced;
mod version;
mod wal;
mod widen;

pub use apply::{Collisions, Opened, Verdict};
pub use backup::{
    BackupProblem, BackupReport, BackupRequest, BackupSummary, OnBackup, RestoreReport, Selection, list_backups,
    restore, verify_backup,
};
pub use blobs::Blobs;
pub use bootstrap::{BootstrapProblem, Offer, OfferJob, OfferList, Quarantined, RowsAbout, Staging, Want};
pub use catalog::{DatasetSpec, ENTITY_COLUMN, arrow_schema, stored_schema};
pub use commit::Ack;
pub use disk::{Disk, DiskFile, ReadAt, write_atomic};
pub use error::StoreError;
pub use health::Health;
pub use input::{Format, Source};
pub use jobs::{Done, Job};
pub use journal::{Journal, Records};
pub use local_disk::LocalDisk;
pub use logs::{Entry, Located, Reach, SetState};
pub use noting::Noting;
pub use objects::Objects;
pub use partition::{PartitionKey, PartitionValue, bucket_end, bucket_of, bucket_start};
pub use prepare::{Batch, Operation, Prepared, Preparer};
pub use problems::{EntryProblem, HeaderProblem, LogProblem, ManifestProblem, SegmentProblem, SpecProblem};
pub use refusals::{RefusalReason, RefusedRow};
pub use segment::{Segment, rows_at_a_time};
pub use sizes::Sizes;
pub use snapshot::{Partition, ReadGroup, Snapshot, StoreReader};
#[cfg(feature = "planted-bugs")]
pub use store::Planted;
pub use store::{Store, StoreParts};
pub use summary::PartitionSummary;
pub use version::{
    EPOCH_COLUMN, HLC_COLUMN, OP_COLUMN, OP_ROW, OP_TOMBSTONE, ORIGIN_COLUMN, SEQ_COLUMN, VERSION_COLUMNS,
};
