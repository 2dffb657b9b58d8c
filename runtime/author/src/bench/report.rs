//! Figures of a benchmark: for people and as JSON.

use std::fmt;

use serde_json::{Value as Json, json};

use crate::text_table::aligned;

/// What a plugin costs.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchReport {
    /// The plugin and its version.
    pub plugin: String,
    /// Whether this program is optimized; where it is not, its half of a call is not worth measuring.
    pub optimized: bool,
    /// The seed of the rows, where they were made.
    pub seed: Option<u64>,
    /// Rounds that figures are medians of.
    pub rounds: usize,
    /// Half of all fresh instances, their first call included, took no longer, in microseconds.
    pub start_us_p50: f64,
    /// All but one in a hundred took no longer, in microseconds.
    pub start_us_p99: f64,
    /// How fast this machine copies memory, in gigabytes a second.
    pub copy_gb_per_s: f64,
    /// Each function, or the one thing that a plugin of another world does with rows.
    pub workloads: Vec<WorkloadReport>,
}

/// What one function costs.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadReport {
    /// Its name; `map`, `input` or `resolve` in other worlds.
    pub name: String,
    /// By rows of a call.
    pub batches: Vec<BatchReport>,
    /// Bytes of columns that the plugin reads, for each row of the largest batch.
    pub bytes_in_per_row: f64,
    /// Bytes of columns that it writes, for each row of the largest batch.
    pub bytes_out_per_row: f64,
    /// What copying these bytes takes, in nanoseconds a row of the largest batch.
    pub copy_ns_per_row: f64,
}

/// What a call costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchReport {
    /// Rows of the call; versions of a row in the world `merge`.
    pub rows: usize,
    /// Nanoseconds a call in the sandbox.
    pub sandboxed_ns: f64,
    /// Nanoseconds a call of the same code compiled for this machine; none where only a component was given.
    pub native_ns: Option<f64>,
}

impl BatchReport {
    /// The speed of the sandbox: native time divided by time in the sandbox, 1 being as fast as native.
    pub fn ratio(&self) -> Option<f64> {
        self.native_ns.map(|native| native / self.sandboxed_ns)
    }
}

impl BenchReport {
    /// The figures as JSON.
    pub fn to_json(&self) -> Json {
        let batch = |batch: &BatchReport| {
            json!({
                "rows": batch.rows,
                "sandboxed_ns_per_call": batch.sandboxed_ns,
                "sandboxed_ns_per_row": batch.sandboxed_ns / batch.rows as f64,
                "native_ns_per_call": batch.native_ns,
                "native_ns_per_row": batch.native_ns.map(|native| native / batch.rows as f64),
                "ratio": batch.ratio(),
            })
        };
        let workload = |workload: &WorkloadReport| {
            json!({
                "name": workload.name,
                "batches": workload.batches.iter().map(batch).collect::<Vec<_>>(),
                "bytes_in_per_row": workload.bytes_in_per_row,
                "bytes_out_per_row": workload.bytes_out_per_row,
                "copy_ns_per_row": workload.copy_ns_per_row,
            })
        };
        json!({
            "plugin": self.plugin,
            "optimized": self.optimized,
            "seed": self.seed,
            "rounds": self.rounds,
            "start_us_p50": self.start_us_p50,
            "start_us_p99": self.start_us_p99,
            "copy_gb_per_s": self.copy_gb_per_s,
            "workloads": self.workloads.iter().map(workload).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, medians of {} rounds", self.plugin, self.rounds)?;
        if !self.optimized {
            writeln!(f, "this `domicile` is a debug build, whose figures say little; build it with --release")?;
        }
        let (p50, p99) = (self.start_us_p50, self.start_us_p99);
        writeln!(f, "fresh instance and first call: {p50:.1} µs in half of all cases, {p99:.1} µs in 99 of 100")?;
        let headings = ["", "rows", "sandbox ns/call", "sandbox ns/row", "native ns/row", "native/sandbox"];
        let mut rows = Vec::new();
        for workload in &self.workloads {
            for batch in &workload.batches {
                let per_row = |ns: f64| format!("{:.2}", ns / batch.rows as f64);
                let mut row = vec![workload.name.clone(), batch.rows.to_string()];
                row.extend([format!("{:.0}", batch.sandboxed_ns), per_row(batch.sandboxed_ns)]);
                row.push(batch.native_ns.map_or_else(String::new, per_row));
                row.push(batch.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}")));
                rows.push(row);
            }
        }
        write!(f, "{}", aligned(&headings.map(str::to_owned), &rows))?;
        for workload in &self.workloads {
            let WorkloadReport { name, bytes_in_per_row, bytes_out_per_row, copy_ns_per_row, .. } = workload;
            write!(
                f,
                "\n{name}: reads {bytes_in_per_row:.1} and writes {bytes_out_per_row:.1} bytes a row; \
                 copying them takes {copy_ns_per_row:.2} ns at {:.1} GB/s",
                self.copy_gb_per_s
            )?;
        }
        Ok(())
    }
}
