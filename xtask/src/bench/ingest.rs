//! How fast rows become durable: builds the store's own benchmark and runs it.

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace;

/// Runs the benchmark, whose last line is one JSON object.
///
/// # Errors
/// Where it cannot be built, or fails.
pub(crate) fn run(further: &[String]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["bench", "--package", "domicile-store", "--bench", "ingest", "--"]).args(further);
    let status = command.current_dir(workspace::root()).status().context("cannot run cargo")?;
    ensure!(status.success(), "the benchmark failed; its messages are above");
    Ok(())
}
