//! `cargo xtask bench …`: figures as ratios measured in one run.

mod ingest;
mod neighbours;
mod plugin;
mod spine;

use std::time::Duration;

pub(crate) use ingest::run as ingest;
pub(crate) use neighbours::run as neighbours;
pub(crate) use plugin::run as plugin;
pub(crate) use spine::run as spine;

/// Times of one kind of request.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    /// The time that this share of the requests stayed within, in milliseconds.
    fn percentile_ms(&mut self, share: f64) -> f64 {
        self.0.sort();
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1].as_secs_f64() * 1e3
    }
}
