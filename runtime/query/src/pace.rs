//! One rate for all background work, however many threads do it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Slices of a second's bytes that work takes in turns, so that small steps do not wait for large ones.
const SLICES_PER_S: u64 = 64;

/// Spreads bytes over time, for all who share it.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Mutex<Rate>,
    stopped: Condvar,
}

#[derive(Debug)]
struct Rate {
    bytes_per_s_max: u64,
    /// When what was taken so far has had its time; none once nobody is to wait any more.
    free_at: Option<Instant>,
}

impl Rate {
    /// Takes some of `bytes`, which have their time from the returned moment on. None where nobody is to wait.
    fn take(&mut self, now: Instant, bytes: u64) -> Option<(u64, Instant)> {
        let taken = bytes.min((self.bytes_per_s_max / SLICES_PER_S).max(1));
        let time = Duration::from_secs_f64(taken as f64 / self.bytes_per_s_max as f64);
        let from = self.free_at?.max(now);
        self.free_at = Some(from + time);
        Some((taken, from))
    }
}

impl Pace {
    pub(crate) fn new(bytes_per_s_max: u64) -> Self {
        let rate = Rate { bytes_per_s_max: bytes_per_s_max.max(1), free_at: Some(Instant::now()) };
        Self { rate: Mutex::new(rate), stopped: Condvar::new() }
    }

    /// Returns once `bytes` more are within the rate, or work is to end soon.
    pub(crate) fn wait(&self, bytes: u64) {
        let mut left = bytes;
        // The rate is whole after every step.
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        while left > 0 {
            let Some((taken, from)) = rate.take(Instant::now(), left) else { return };
            left -= taken;
            let time = from.saturating_duration_since(Instant::now());
            let waits = |rate: &mut Rate| rate.free_at.is_some();
            let waited = self.stopped.wait_timeout_while(rate, time, waits);
            rate = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets nobody wait from here on: what is under way ends as fast as it can.
    pub(crate) fn stop(&self) {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).free_at = None;
        self.stopped.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn all_who_share_a_rate_keep_to_it_together() {
        let start = Instant::now();
        let mut rate = Rate { bytes_per_s_max: 8 * MIB, free_at: Some(start) };
        // Each one asks again when its turn has come.
        let mut turns = [start; 3];
        let mut taken = [0; 3];
        while let Some(who) = (0..3).filter(|who| taken[*who] < 4 * MIB).min_by_key(|who| turns[*who]) {
            let Some((bytes, from)) = rate.take(turns[who], 4 * MIB - taken[who]) else { return };
            (turns[who], taken[who]) = (from, taken[who] + bytes);
            let (all, within) = (taken.iter().sum::<u64>(), 8.0 * MIB as f64 * (from - start).as_secs_f64());
            assert!((all - bytes) as f64 <= within + 1.0, "{all} bytes in {:?}", from - start);
            let (least, most) = (taken.iter().min().copied(), taken.iter().max().copied());
            assert!(most <= least.map(|least| least + 2 * bytes), "one waits for another: {taken:?}");
        }
        assert_eq!(taken, [4 * MIB; 3]);
    }

    #[test]
    fn time_that_passed_without_work_is_not_made_up_for() {
        let start = Instant::now();
        let mut rate = Rate { bytes_per_s_max: MIB, free_at: Some(start) };
        let later = start + Duration::from_secs(3600);
        let slice = MIB / SLICES_PER_S;
        assert_eq!(rate.take(later, MIB), Some((slice, later)));
        let next = later + Duration::from_secs(1) / SLICES_PER_S as u32;
        assert_eq!(rate.take(later, MIB), Some((slice, next)));
    }

    #[test]
    fn nobody_waits_once_it_is_stopped() {
        let pace = Pace::new(1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pace.wait(u64::MAX));
            pace.stop();
            assert!(waiting.join().is_ok());
        });
        pace.wait(u64::MAX);
    }
}
