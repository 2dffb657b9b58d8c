//! The store through its public face.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arrow_stream;
mod blobs;
mod csv;
mod faults;
mod fixture;
mod journal;
mod json;
mod large;
mod loading;
mod parquet;
mod recovery;
mod refusals;
mod specs;
