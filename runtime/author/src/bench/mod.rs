//! `plugin bench`: what calls cost in the sandbox, and the same code natively.

mod columns;
mod native;
mod report;
mod sandboxed;

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::ArrayRef;
use domicile_sandbox::{Interface, Plugin};

pub use report::{BatchReport, BenchReport, WorkloadReport};

use crate::files::LocalRows;
use crate::project::{Progress, Project};
use crate::{AuthorError, component};
use native::Native;
use sandboxed::{Calls, Workload, workloads};

/// Rows of a call.
const BATCHES: [usize; 4] = [1, 64, 1024, 8192];
/// Versions of a row where conflicts are resolved; there are no fewer than two.
const VERSIONS: [usize; 3] = [2, 8, 64];
/// Rows that one session takes in: what it keeps of them stays within its memory.
const SESSION_ROWS_MAX: usize = 64 * 1024;

/// What is to be measured, and how thoroughly.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The plugin's folder, or a component, which has no native half.
    pub plugin: PathBuf,
    /// Rows to call it with; they are made where there are none.
    pub input: Option<PathBuf>,
    /// Measure this function only.
    pub function: Option<String>,
    /// The seed of rows that are made.
    pub seed: u64,
    /// Rounds that figures are medians of; 0 counts as 1.
    pub rounds: usize,
    /// How long a round of calls takes about.
    pub round_time: Duration,
    /// Fresh instances that are started; 0 counts as 1.
    pub starts: usize,
}

impl BenchOptions {
    /// What takes about a minute for a function.
    pub fn of(plugin: PathBuf) -> Self {
        let round_time = Duration::from_millis(100);
        Self { plugin, input: None, function: None, seed: 1, rounds: 9, round_time, starts: 300 }
    }
}

/// Measures.
///
/// # Errors
/// Where the plugin cannot be built or loaded, or fails when it is called.
pub fn bench(options: &BenchOptions, progress: Progress) -> Result<BenchReport, AuthorError> {
    let plugin = component::open(&options.plugin, progress)?.load()?;
    let given = options.input.as_deref().map(LocalRows::read).transpose()?;
    let sizes = if matches!(plugin.interface(), Interface::Merge(_)) { &VERSIONS[..] } else { &BATCHES };
    let largest = sizes.iter().copied().max().unwrap_or(1);
    let mut workloads = workloads(&plugin, largest, given.as_ref(), options.seed)?;
    let columns: Vec<&[ArrayRef]> = workloads.iter().map(|workload| &workload.columns[..]).collect();
    let native = match options.plugin.is_dir() {
        true => Some(Native::start(&Project::of(&options.plugin)?, &columns, progress)?),
        false => None,
    };
    if let (Interface::Functions(functions), Some(name)) = (plugin.interface(), &options.function) {
        let index = crate::apply::index_of(functions, Some(name))?;
        workloads.retain(|workload| workload.index == index);
    }
    let mut bench = Bench { plugin, native, options };
    let speed = copy_bytes_per_ns(largest * 64, options.round_time);
    let (start_us_p50, start_us_p99) = bench.starts(&workloads[0], sizes[0])?;
    Ok(BenchReport {
        plugin: format!("{} {}", bench.plugin.id().name, bench.plugin.id().version),
        optimized: !cfg!(debug_assertions),
        seed: given.is_none().then_some(options.seed),
        rounds: options.rounds.max(1),
        start_us_p50,
        start_us_p99,
        copy_gb_per_s: speed,
        workloads: workloads.iter().map(|of| bench.workload(of, sizes, speed)).collect::<Result<_, _>>()?,
    })
}

struct Bench<'a> {
    plugin: Arc<Plugin>,
    native: Option<Native>,
    options: &'a BenchOptions,
}

impl Bench<'_> {
    fn starts(&self, workload: &Workload, rows: usize) -> Result<(f64, f64), AuthorError> {
        let start = |_| Ok(workload.start(&self.plugin, rows)?.as_secs_f64() * 1e6);
        let mut times = (0..self.options.starts.max(1)).map(start).collect::<Result<Vec<f64>, AuthorError>>()?;
        Ok((quantile(&mut times, 0.5), quantile(&mut times, 0.99)))
    }

    fn workload(&mut self, workload: &Workload, sizes: &[usize], speed: f64) -> Result<WorkloadReport, AuthorError> {
        let batches = sizes.iter().map(|rows| self.batch(workload, *rows)).collect::<Result<Vec<_>, _>>()?;
        let largest = sizes.iter().copied().max().unwrap_or(1);
        // What one more call adds, whatever sessions do beside calls.
        let (one, two) = (self.traffic(workload, largest, 1)?, self.traffic(workload, largest, 2)?);
        let [bytes_in_per_row, bytes_out_per_row] = [0, 1].map(|way| (two[way] - one[way]) / largest as f64);
        let copy_ns_per_row = (bytes_in_per_row + bytes_out_per_row) / speed;
        let name = workload.name.clone();
        Ok(WorkloadReport { name, batches, bytes_in_per_row, bytes_out_per_row, copy_ns_per_row })
    }

    /// Bytes that a session with so many calls reads and writes.
    fn traffic(&self, workload: &Workload, rows: usize, calls: usize) -> Result<[f64; 2], AuthorError> {
        let before = self.plugin.metrics();
        workload.round(&self.plugin, rows, Calls { calls, per_session: calls })?;
        let after = self.plugin.metrics();
        Ok([after.bytes_in - before.bytes_in, after.bytes_out - before.bytes_out].map(|bytes| bytes as f64))
    }

    /// Rounds in the sandbox and natively take turns, so that what else the machine does meets both.
    fn batch(&mut self, workload: &Workload, rows: usize) -> Result<BatchReport, AuthorError> {
        let per_session = (SESSION_ROWS_MAX / rows).max(1);
        let calls = |calls| Calls { calls, per_session };
        let time = self.options.round_time;
        let sandboxed_calls = calibrate(time, |n| workload.round(&self.plugin, rows, calls(n)))?;
        let native_calls = match &mut self.native {
            Some(native) => calibrate(time, |n| native.round(workload.index, rows, calls(n)))?,
            None => 1,
        };
        let (mut sandboxed_ns, mut native_ns) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds.max(1) {
            let elapsed = workload.round(&self.plugin, rows, calls(sandboxed_calls))?;
            sandboxed_ns.push(elapsed.as_secs_f64() * 1e9 / sandboxed_calls as f64);
            if let Some(native) = &mut self.native {
                let elapsed = native.round(workload.index, rows, calls(native_calls))?;
                native_ns.push(elapsed.as_secs_f64() * 1e9 / native_calls as f64);
            }
        }
        let native_ns = (!native_ns.is_empty()).then(|| quantile(&mut native_ns, 0.5));
        Ok(BatchReport { rows, sandboxed_ns: quantile(&mut sandboxed_ns, 0.5), native_ns })
    }
}

/// How many calls take about as long as wanted.
fn calibrate(
    wanted: Duration,
    mut round: impl FnMut(usize) -> Result<Duration, AuthorError>,
) -> Result<usize, AuthorError> {
    const CALLS_MAX: usize = 1 << 24;
    let mut calls = 1;
    loop {
        let elapsed = round(calls)?;
        if elapsed * 4 >= wanted || calls >= CALLS_MAX {
            let more = wanted.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
            return Ok(((calls as f64 * more) as usize).clamp(1, CALLS_MAX));
        }
        calls *= 4;
    }
}

/// Bytes that this machine copies in a nanosecond, in pieces of a size.
fn copy_bytes_per_ns(bytes: usize, time: Duration) -> f64 {
    let from = vec![1_u8; bytes];
    let mut to = vec![0_u8; bytes];
    let (start, mut copied) = (Instant::now(), 0_usize);
    while start.elapsed() < time {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        copied += bytes;
    }
    copied as f64 / (start.elapsed().as_secs_f64() * 1e9)
}

/// The value that the given part of all values does not exceed. There is at least one.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len() as f64 * part).ceil() as usize).saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
