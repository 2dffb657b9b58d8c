//! What regions do: the benchmark of the crate that applies entries, built once and run as often as wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use domicile_harness::build;
use serde_json::Value;

use super::Pace;
use super::place::said;

/// The benchmark's executable.
#[derive(Debug)]
pub(super) struct Ours(PathBuf);

/// What one run of it says.
#[derive(Debug)]
pub(super) struct Run(Value);

impl Ours {
    /// Builds it.
    ///
    /// # Errors
    /// Where the build fails.
    pub(super) fn build() -> Result<Self> {
        build::bench("domicile-sync", "apply").map(Self)
    }

    /// Writes the rows as lines of CSV, and gives them.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub(super) fn lines(&self, dir: &Path, rows: u64) -> Result<String> {
        said(Command::new(&self.0).arg("text").arg(dir).args(["--rows", &rows.to_string()]))?;
        Ok(fs::read_to_string(dir.join("rows.csv"))?)
    }

    /// Writes and applies rows, and compares their bytes.
    ///
    /// # Errors
    /// Where it fails.
    pub(super) fn run(&self, dir: &Path, rows: u64, batch_rows: usize) -> Result<Run> {
        let mut command = Command::new(&self.0);
        command.args(["--rows", &rows.to_string(), "--batch-rows", &batch_rows.to_string(), "--dir"]).arg(dir);
        let said = said(&mut command)?;
        let last = said.lines().last().context("the benchmark says nothing")?;
        Ok(Run(serde_json::from_str(last)?))
    }
}

impl Run {
    /// A figure by its name.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn figure(&self, name: &str) -> Result<f64> {
        self.0[name].as_f64().with_context(|| format!("the benchmark does not say `{name}`"))
    }

    /// How fast rows were applied.
    ///
    /// # Errors
    /// Where it does not say.
    pub(super) fn pace(&self) -> Result<Pace> {
        Ok(Pace { rows_per_s: self.figure("apply_rows_per_s")?, rows_per_cpu_s: self.figure("apply_rows_per_cpu_s")? })
    }
}
