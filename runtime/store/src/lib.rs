//! Storage of one region: immutable Parquet segments, named by an atomic manifest.
//!
//! Synchronous code for one owner: [`Store`] loads, any number of [`StoreReader`]s read. Nothing here knows a clock
//! or randomness; a load of the same bytes into the same state writes the same files. Beside the store are the two
//! other durable shapes that a region needs: an append-only [`Journal`] and content-addressed [`Blobs`].

mod blobs;
mod catalog;
mod chunk;
mod disk;
mod error;
mod hash;
mod homes;
mod input;
mod journal;
mod keys;
mod load;
mod manifest;
mod parents;
mod refusals;
mod segment;
mod snapshot;
mod store;

pub use blobs::Blobs;
pub use catalog::{DatasetSpec, ENTITY_COLUMN, arrow_schema, stored_schema};
pub use disk::{Disk, LocalDisk, write_atomic};
pub use error::{HeaderProblem, ManifestProblem, SegmentProblem, SpecProblem, StoreError};
pub use input::FileFormat;
pub use journal::{Journal, Records};
pub use refusals::{RefusalReason, RefusedRow};
pub use segment::Segment;
pub use snapshot::{Snapshot, StoreReader};
pub use store::{LoadReport, Store};
