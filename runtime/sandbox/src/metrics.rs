//! What plugins cost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::clock::{CpuSample, CpuSampler};
use crate::host::Traffic;

/// Calls whose durations an instance keeps before it tells them to its plugin.
const KEPT_CALLS: usize = 64;
/// Longest that it keeps them while it is being called.
const KEPT_FOR: Duration = Duration::from_millis(100);
/// Longest duration that the histogram tells apart, in nanoseconds.
const LONGEST_NS: u64 = 600_000_000_000;

/// What all calls of one plugin cost since it was loaded.
///
/// An instance tells its plugin of its calls when it ends, after 64 calls, and after 100 ms; so the newest calls may be
/// missing.
#[derive(Debug, Clone)]
pub struct PluginMetrics {
    /// Calls into the plugin, those that failed included.
    pub calls: u64,
    /// Calls that trapped, or answered or passed to the host what they may not.
    pub traps: u64,
    /// Calls that a limit ended.
    pub limit_hits: u64,
    /// Calls in which the plugin said that it cannot do what it was asked.
    pub failures: u64,
    /// How long the calls took, in nanoseconds, to two significant digits.
    pub time_ns: Histogram<u64>,
    /// The processor's time. Of an instance's calls with fewer than 256 rows one in 64 is measured, the first one too;
    /// the others count as these do on average.
    pub cpu_time: Duration,
    /// The largest linear memory of an instance, in bytes.
    pub memory_bytes_peak: usize,
    /// Bytes of columns that plugins read.
    pub bytes_in: u64,
    /// Bytes of columns that plugins wrote.
    pub bytes_out: u64,
    /// Calls of the host.
    pub host_calls: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Failed,
    Trapped,
    LimitHit,
}

/// The sums of one plugin; none where the histogram's bounds are refused, which they are not.
#[derive(Debug)]
pub(crate) struct Metrics(Mutex<PluginMetrics>);

impl Metrics {
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self(Mutex::new(PluginMetrics {
            calls: 0,
            traps: 0,
            limit_hits: 0,
            failures: 0,
            time_ns: Histogram::new_with_bounds(1, LONGEST_NS, 2)?,
            cpu_time: Duration::ZERO,
            memory_bytes_peak: 0,
            bytes_in: 0,
            bytes_out: 0,
            host_calls: 0,
        })))
    }

    pub(crate) fn snapshot(&self) -> PluginMetrics {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Collects the calls of one instance.
pub(crate) struct Recorder {
    metrics: Arc<Metrics>,
    sampler: CpuSampler,
    durations_ns: [u64; KEPT_CALLS],
    calls: usize,
    traps: u64,
    limit_hits: u64,
    failures: u64,
    memory_bytes: usize,
    traffic: Traffic,
    told: Instant,
}

impl Recorder {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            sampler: CpuSampler::default(),
            durations_ns: [0; KEPT_CALLS],
            calls: 0,
            traps: 0,
            limit_hits: 0,
            failures: 0,
            memory_bytes: 0,
            traffic: Traffic::default(),
            told: Instant::now(),
        }
    }

    pub(crate) fn start(&mut self, rows: usize) -> Option<CpuSample> {
        self.sampler.start(rows)
    }

    /// Ends a measurement, before the call is recorded.
    pub(crate) fn stop(&mut self, sample: &CpuSample) {
        self.sampler.stop(sample);
    }

    pub(crate) fn record(&mut self, call: &CallRecord) {
        if let Some(slot) = self.durations_ns.get_mut(self.calls) {
            *slot = u64::try_from(call.duration.as_nanos()).unwrap_or(LONGEST_NS);
            self.calls += 1;
        }
        match call.outcome {
            Outcome::Answered => (),
            Outcome::Failed => self.failures += 1,
            Outcome::Trapped => self.traps += 1,
            Outcome::LimitHit => self.limit_hits += 1,
        }
        self.memory_bytes = self.memory_bytes.max(call.memory_bytes);
        self.traffic.bytes_in += call.traffic.bytes_in;
        self.traffic.bytes_out += call.traffic.bytes_out;
        self.traffic.host_calls += call.traffic.host_calls;
        let is_last = matches!(call.outcome, Outcome::Trapped | Outcome::LimitHit);
        let is_late = || self.calls.is_multiple_of(8) && self.told.elapsed() >= KEPT_FOR;
        if is_last || self.calls == KEPT_CALLS || is_late() {
            self.tell();
        }
    }

    fn tell(&mut self) {
        {
            let mut sums = self.metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
            sums.calls += self.calls as u64;
            sums.traps += self.traps;
            sums.limit_hits += self.limit_hits;
            sums.failures += self.failures;
            for duration in self.durations_ns.iter().take(self.calls) {
                sums.time_ns.saturating_record(*duration);
            }
            sums.cpu_time += self.sampler.take();
            sums.memory_bytes_peak = sums.memory_bytes_peak.max(self.memory_bytes);
            sums.bytes_in += self.traffic.bytes_in;
            sums.bytes_out += self.traffic.bytes_out;
            sums.host_calls += self.traffic.host_calls;
        }
        self.calls = 0;
        (self.traps, self.limit_hits, self.failures) = (0, 0, 0);
        self.traffic = Traffic::default();
        self.told = Instant::now();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.tell();
    }
}

/// One call.
pub(crate) struct CallRecord {
    pub(crate) duration: Duration,
    pub(crate) outcome: Outcome,
    pub(crate) memory_bytes: usize,
    pub(crate) traffic: Traffic,
}
