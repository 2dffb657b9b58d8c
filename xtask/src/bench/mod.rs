//! `cargo xtask bench …`: figures as ratios measured in one run.

mod spine;

pub(crate) use spine::run as spine;
