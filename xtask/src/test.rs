//! `cargo xtask test` and `cargo xtask build-plugins`.

use std::fmt::Arguments;
use std::process::Command;

use anyhow::{Context, Result, bail};
use domicile_harness::{build, workspace};

use crate::voice::Voice;

/// Builds and runs every test of both workspaces.
pub(crate) fn run(further: &[String], voice: &Voice) -> Result<()> {
    build_plugins(voice)?;
    voice.heading("Building the binary");
    let binary = build::binary(build::Profile::Dev)?;
    voice.heading("Testing the runtime, and three regions end to end");
    let mut runtime = workspace::cargo();
    runtime.args(["test", "--workspace"]).args(further).env(build::BINARY_VARIABLE, binary);
    run_cargo(runtime)?;
    voice.heading("Testing the plugins");
    let mut guest = workspace::cargo();
    // What is hostile is so to a sandbox, and has nothing to show outside of one.
    guest.args(["test", "--manifest-path", "guest/Cargo.toml", "--workspace", "--exclude", "hostile-*"]);
    guest.arg("--target-dir");
    guest.arg(workspace::target_dir()?.join("guest"));
    run_cargo(guest)?;
    voice.heading("Every test passed");
    Ok(())
}

/// Runs the test that kills a region under load.
pub(crate) fn crash(cycles: u64, seed: Option<u64>, voice: &Voice) -> Result<()> {
    let settings = [("DOMICILE_CRASH_CYCLES", Some(cycles)), ("DOMICILE_CRASH_SEED", seed)];
    long("crash", format_args!("{cycles} kills under load"), settings, voice)
}

/// Runs the test that breaks the network between regions.
pub(crate) fn cuts(seconds: u64, seed: Option<u64>, voice: &Voice) -> Result<()> {
    let settings = [("DOMICILE_CUTS_SECONDS", Some(seconds)), ("DOMICILE_CUTS_SEED", seed)];
    long("replication_cuts", format_args!("{seconds} s of writes while the network breaks"), settings, voice)
}

/// Runs one test for longer than others.
fn long(test: &str, heading: Arguments<'_>, settings: [(&str, Option<u64>); 2], voice: &Voice) -> Result<()> {
    voice.heading("Building the binary");
    let binary = build::binary(build::Profile::Dev)?;
    voice.heading(heading);
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--test", test, "--", "--nocapture"]).env(build::BINARY_VARIABLE, binary);
    command.envs(settings.into_iter().filter_map(|(name, value)| Some((name, value?.to_string()))));
    run_cargo(command)
}

/// Adds the target where it is missing, and builds the plugins from source.
pub(crate) fn build_plugins(voice: &Voice) -> Result<()> {
    prepare_target(voice)?;
    voice.heading("Building the plugins");
    for (name, path) in build::plugins()? {
        voice.line(format_args!("  {name}: {}", workspace::shown(&path)));
    }
    Ok(())
}

/// Adds the plugins' target where it is missing.
pub(crate) fn prepare_target(voice: &Voice) -> Result<()> {
    if build::ensure_wasm_target()? {
        voice.line(format_args!("Added Rust's {} target for the plugins.", build::WASM_TARGET));
    }
    Ok(())
}

fn run_cargo(mut command: Command) -> Result<()> {
    if !command.status().context("cannot run cargo")?.success() {
        bail!("cargo failed; its messages are above");
    }
    Ok(())
}
