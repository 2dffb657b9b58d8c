//! The files that people write, through the crate's public face.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conflicts;
mod datasets;
mod folders;
mod places;
mod region;
mod replication;
mod secrets;
mod strict;
