//! The time that a call takes, and when it has taken too much.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::limit::Limit;

/// Calls with at least this many rows have the time of their thread's processor measured.
const MEASURED_ROWS_MIN: usize = 256;
/// Of other calls, the first in this many is measured.
const SAMPLE: u32 = 64;

/// The processor's clock is looked at no more often than this.
const CPU_LOOK: Duration = Duration::from_millis(5);

/// The time that this thread's processor has spent on it.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The clocks of one call.
#[derive(Debug)]
pub(crate) struct CallClock {
    started: Instant,
    wall_max: Duration,
    cpu_max: Duration,
    /// Read at the first tick only: most calls end before. So a call may compute up to one tick longer than its limit.
    cpu_started: Option<Duration>,
    looked: Duration,
}

impl CallClock {
    pub(crate) fn start(wall_max: Duration, cpu_max: Duration) -> Self {
        Self { started: Instant::now(), wall_max, cpu_max, cpu_started: None, looked: Duration::ZERO }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the call has to be over.
    pub(crate) fn deadline(&self) -> Instant {
        self.started + self.wall_max
    }

    /// How long the call has taken, if it may go on.
    pub(crate) fn check(&mut self) -> Result<Duration, Limit> {
        let elapsed = self.elapsed();
        if elapsed >= self.wall_max {
            return Err(Limit::Time(self.wall_max));
        }
        if elapsed.saturating_sub(self.looked) < CPU_LOOK {
            return Ok(elapsed);
        }
        self.looked = elapsed;
        let now = thread_cpu_time();
        let spent = now.saturating_sub(*self.cpu_started.get_or_insert(now));
        if spent >= self.cpu_max { Err(Limit::CpuTime(self.cpu_max)) } else { Ok(elapsed) }
    }
}

/// Which calls have their processor time measured: reading that clock costs more than a small call.
#[derive(Debug, Default)]
pub(crate) struct CpuSampler {
    small_calls: u32,
    small_measured: u32,
    small_time: Duration,
    large_time: Duration,
}

/// A measurement under way.
pub(crate) struct CpuSample {
    started: Duration,
    small: bool,
}

impl CpuSampler {
    pub(crate) fn start(&mut self, rows: usize) -> Option<CpuSample> {
        let small = rows < MEASURED_ROWS_MIN;
        if small {
            self.small_calls += 1;
        }
        let measured = !small || (self.small_calls - 1).is_multiple_of(SAMPLE);
        measured.then(|| CpuSample { started: thread_cpu_time(), small })
    }

    /// Counts a sample. Reads the clock of the calling thread, which must be the one that started it.
    pub(crate) fn stop(&mut self, sample: &CpuSample) {
        let time = thread_cpu_time().saturating_sub(sample.started);
        if sample.small {
            self.small_measured += 1;
            self.small_time += time;
        } else {
            self.large_time += time;
        }
    }

    /// The time of all calls since the last time that it was taken; small ones count as those that were measured.
    pub(crate) fn take(&mut self) -> Duration {
        let Self { small_calls, small_measured, small_time, large_time } = std::mem::take(self);
        let share = f64::from(small_calls) / f64::from(small_measured.max(1));
        large_time + small_time.mul_f64(share)
    }
}
