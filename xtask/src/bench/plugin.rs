//! What plugins cost: builds the benchmark, which is a workspace of its own, and runs it.
//!
//! It has `arrow-udf` beside us in one process, with the Arrow and the wasmtime that it takes; neither is to get into
//! the lock file of the product.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use domicile_harness::{build, workspace};

use crate::voice::Voice;

/// The target of the plugins that `arrow-udf` runs.
const OTHER_TARGET: &str = "wasm32-wasip1";

/// Runs the benchmark, whose last line is one JSON object.
///
/// # Errors
/// Where it cannot be built, or fails.
pub(crate) fn run(rounds: u32, voice: &Voice) -> Result<()> {
    for target in [build::WASM_TARGET, OTHER_TARGET] {
        if build::ensure_target(target)? {
            voice.line(format_args!("Added Rust's {target} target for the plugins."));
        }
    }
    voice.heading("Building the plugins and the benchmark");
    let plugins = ["bench-functions", "bench-mapper", "bench-question"].map(|name| ["--package", name]).concat();
    // Plugins are built as those of `guest/` are, vector instructions included.
    let settings = ["--config", "guest/.cargo/config.toml", "--target", build::WASM_TARGET, "--profile", "plugin"];
    cargo("build", &[settings.as_slice(), &plugins].concat())?;
    cargo("build", &["--target", OTHER_TARGET, "--profile", "plugin", "--package", "arrow-udf-functions"])?;
    cargo("build", &["--release", "--package", "plugin-bench"])?;
    voice.heading(format_args!("Measuring, {rounds} rounds"));
    let dir = workspace::target_dir()?.join("plugin-bench");
    let mut benchmark = Command::new(dir.join("release/plugin-bench"));
    let status = benchmark.arg(dir).arg(rounds.to_string()).status().context("cannot run the benchmark")?;
    ensure!(status.success(), "the benchmark failed; its messages are above");
    Ok(())
}

fn cargo(verb: &str, further: &[&str]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args([verb, "--locked", "--manifest-path", "xtask/plugin-bench/Cargo.toml", "--target-dir"]);
    command.arg(workspace::target_dir()?.join("plugin-bench")).args(further);
    ensure!(command.status().context("cannot run cargo")?.success(), "the build failed; its messages are above");
    Ok(())
}
