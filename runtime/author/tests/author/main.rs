//! The author's loop, world by world: make, test natively, build, test in the sandbox, measure, run.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod functions;
mod mapper;
mod merge;
mod project;
mod query;
mod refusals;
