//! The store through its public face.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod added_columns;
mod arrow_stream;
mod background;
mod blobs;
mod bounds;
mod csv;
mod ends;
mod faults;
mod fixture;
mod journal;
mod json;
mod large;
mod loading;
mod memory;
mod parquet;
mod parquet_bytes;
mod recovery;
mod refusals;
mod specs;
mod wide_rows;
