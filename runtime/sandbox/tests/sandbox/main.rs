//! The sandbox through its public face, with components built from `guest/`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aggregates;
mod cache;
mod compile;
mod contract;
mod functions;
mod guest;
mod hostile;
mod limits;
mod mapper;
mod merge;
mod metrics;
mod query;
mod released;
