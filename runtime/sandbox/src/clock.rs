//! The time that a call takes, and when it has taken too much.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::limit::Limit;

/// Calls with at least this many rows have the time of their thread's processor measured.
const MEASURED_ROWS_MIN: usize = 256;
/// Of other calls, one in this many is measured, and counts as often.
const SAMPLE: u64 = 16;

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

    /// Whether the call may go on.
    pub(crate) fn check(&mut self) -> Result<(), Limit> {
        let elapsed = self.elapsed();
        if elapsed >= self.wall_max {
            return Err(Limit::Time(self.wall_max));
        }
        if elapsed.saturating_sub(self.looked) < CPU_LOOK {
            return Ok(());
        }
        self.looked = elapsed;
        let now = thread_cpu_time();
        let spent = now.saturating_sub(*self.cpu_started.get_or_insert(now));
        if spent >= self.cpu_max { Err(Limit::CpuTime(self.cpu_max)) } else { Ok(()) }
    }
}

/// Which calls have their processor time measured: reading that clock costs more than a small call.
#[derive(Debug, Default)]
pub(crate) struct CpuSampler {
    small_calls: u64,
}

/// A measurement under way.
pub(crate) struct CpuSample {
    started: Duration,
    weight: u32,
}

impl CpuSampler {
    pub(crate) fn start(&mut self, rows: usize) -> Option<CpuSample> {
        let weight = if rows >= MEASURED_ROWS_MIN {
            1
        } else {
            self.small_calls += 1;
            if !(self.small_calls - 1).is_multiple_of(SAMPLE) {
                return None;
            }
            SAMPLE as u32
        };
        Some(CpuSample { started: thread_cpu_time(), weight })
    }
}

impl CpuSample {
    /// What to count. Reads the clock of the calling thread, which must be the one that started the sample.
    pub(crate) fn stop(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.started) * self.weight
    }
}
