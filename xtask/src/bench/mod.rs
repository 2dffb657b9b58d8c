//! `cargo xtask bench …`: figures as ratios measured in one run.

mod ingest;
mod spine;

pub(crate) use ingest::run as ingest;
pub(crate) use spine::run as spine;
