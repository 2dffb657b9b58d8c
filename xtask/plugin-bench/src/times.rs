//! Durations of one kind.

use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    /// Runs and notes `work`, which does `count` of what is measured.
    pub(crate) fn note<T>(&mut self, count: usize, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let answer = work();
        self.add(started.elapsed(), count);
        answer
    }

    pub(crate) fn add(&mut self, time: Duration, count: usize) {
        self.0.push(time.as_secs_f64() * 1e6 / count as f64);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// The time that this share stayed within, in microseconds.
    pub(crate) fn percentile_us(&mut self, share: f64) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median_us(&mut self) -> f64 {
        self.percentile_us(0.5)
    }
}

/// A figure with three significant digits, so that the line stays readable.
pub(crate) fn rounded(figure: f64) -> f64 {
    format!("{figure:.2e}").parse().unwrap_or(figure)
}
