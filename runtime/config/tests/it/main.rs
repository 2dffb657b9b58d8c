//! The files that people write, through the crate's public face.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod datasets;
mod folders;
mod places;
mod region;
mod secrets;
mod strict;
