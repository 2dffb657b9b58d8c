//! Where things are in the checkout, and the `cargo` that runs us.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The three regions of the demo and the tests, in the order in which they are started.
pub const REGIONS: [&str; 3] = ["eu-central", "us-east", "ap-south"];

/// The root of the workspace.
pub fn root() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.ancestors().nth(2).unwrap_or(harness).to_path_buf()
}

/// The folder of the region files.
pub fn regions_dir() -> PathBuf {
    root().join("regions")
}

/// A path as people are shown it: relative to the root of the workspace where it lies below.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// A command that runs the same cargo that built us, from the root of the workspace, without standard input.
///
/// What cargo told this process of its own package is kept from it: build scripts below that watch such a variable
/// (that of `ring` does) would run again, and rebuild all that stands on them, each time another package asks.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// What `cargo metadata --no-deps` says of the workspace whose `Cargo.toml` is given.
///
/// # Errors
/// Where cargo cannot be run or does not understand the manifest.
pub fn metadata(manifest: &Path) -> Result<Value> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run `cargo metadata`")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed for {}", manifest.display());
    }
    serde_json::from_slice(&output.stdout).context("`cargo metadata` printed something that is not JSON")
}

/// The target directory, wherever configuration or `CARGO_TARGET_DIR` put it.
///
/// # Errors
/// Where cargo does not say.
pub fn target_dir() -> Result<PathBuf> {
    let metadata = metadata(&root().join("Cargo.toml"))?;
    let dir = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    Ok(PathBuf::from(dir))
}
