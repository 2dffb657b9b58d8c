//! Builds of the binary and of the plugins, and where the results are.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace;

/// The target that plugins are built for.
pub const WASM_TARGET: &str = "wasm32-wasip2";
/// Environment variable that names a ready-built `domicile`, so that nobody builds it twice.
pub const BINARY_VARIABLE: &str = "DOMICILE_BIN";

/// The profile a build uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build; the default of the demo and the tests.
    Dev,
    /// Optimized, for real use and for figures.
    Release,
}

impl Profile {
    /// The name that `cargo build --profile` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

/// What the demo and the benchmarks run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// `domicile` itself.
    pub domicile: PathBuf,
    /// The generator of the data.
    pub tpch: PathBuf,
}

/// Builds the `domicile` binary and the generator of the data in one go, with cargo's progress on standard error.
///
/// # Errors
/// Where cargo cannot be run or the build fails.
pub fn binaries(profile: Profile) -> Result<Binaries> {
    let built = executables(&["domicile", "domicile-tpch"], profile)?;
    let path = |name: &str| built.get(name).cloned().with_context(|| format!("cargo built no executable `{name}`"));
    Ok(Binaries { domicile: path("domicile")?, tpch: path("domicile-tpch")? })
}

/// Builds the `domicile` binary. A path in `DOMICILE_BIN` is taken as it is.
///
/// # Errors
/// Where cargo cannot be run or the build fails.
pub fn binary(profile: Profile) -> Result<PathBuf> {
    if let Some(path) = env::var_os(BINARY_VARIABLE) {
        return Ok(PathBuf::from(path));
    }
    executables(&["domicile"], profile)?.remove("domicile").context("cargo built no executable `domicile`")
}

fn executables(names: &[&str], profile: Profile) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = workspace::cargo();
    // With the whole workspace in view, dependencies have the features that every other command builds them with.
    command.args(["build", "--workspace", "--profile", profile.name()]);
    command.args(names.iter().flat_map(|name| ["--bin", name]));
    let built = artifacts(command, |path, is_executable| is_executable.then(|| path.to_path_buf()))?;
    Ok(built.into_iter().filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path))).collect())
}

/// Builds a benchmark of a crate, optimized.
///
/// # Errors
/// Where cargo cannot be run or the build fails.
pub fn bench(package: &str, name: &str) -> Result<PathBuf> {
    let mut command = workspace::cargo();
    command.args(["bench", "--no-run", "--package", package, "--bench", name]);
    let built = artifacts(command, |path, is_executable| is_executable.then(|| path.to_path_buf()))?;
    built.into_iter().next().with_context(|| format!("cargo built no benchmark `{name}`"))
}

/// Builds every plugin of `guest/` and says where each is, by its file name without `.wasm`.
///
/// # Errors
/// Where the target is not installed or the build fails.
pub fn plugins() -> Result<BTreeMap<String, PathBuf>> {
    let target_dir = workspace::target_dir()?.join("guest");
    let mut command = workspace::cargo();
    // From its folder, where cargo finds the settings of the plugins' target.
    command
        .current_dir(workspace::root().join("guest"))
        .args(["build", "--release", "--target", WASM_TARGET, "--target-dir"])
        .arg(target_dir);
    let built =
        artifacts(command, |path, _| (path.extension() == Some(OsStr::new("wasm"))).then(|| path.to_path_buf()))?;
    let named = built.into_iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?.replace('-', "_");
        Some((name, path))
    });
    Ok(named.collect())
}

/// Makes sure that the target of the plugins is installed, and says whether it had to be added.
///
/// # Errors
/// Where it is missing and `rustup` is not there to add it, or fails.
pub fn ensure_wasm_target() -> Result<bool> {
    ensure_target(WASM_TARGET)
}

/// Makes sure that a target is installed, and says whether it had to be added.
///
/// # Errors
/// Where it is missing and `rustup` is not there to add it, or fails.
pub fn ensure_target(target: &str) -> Result<bool> {
    if target_installed(target) {
        return Ok(false);
    }
    let added = Command::new("rustup")
        .args(["target", "add", target])
        .current_dir(workspace::root())
        .stdin(Stdio::null())
        .status();
    match added {
        Ok(status) if status.success() => Ok(true),
        Ok(_) => bail!("`rustup target add {target}` failed; is the network reachable?"),
        Err(_) => bail!(
            "the plugins need Rust's `{target}` target, and `rustup` was not found to add it.\n\
             Install Rust with rustup (https://rustup.rs), or add the target the way your Rust was installed."
        ),
    }
}

fn target_installed(target: &str) -> bool {
    let Ok(output) = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(workspace::root())
        .output()
    else {
        return false;
    };
    let libdir = String::from_utf8_lossy(&output.stdout);
    output.status.success() && Path::new(libdir.trim()).is_dir()
}

/// Runs a cargo build and collects what `select` makes of each file it names (path, whether it is executable).
fn artifacts<T>(mut command: Command, select: impl Fn(&Path, bool) -> Option<T>) -> Result<Vec<T>> {
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo's output is not piped")?;
    let mut selected = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        let executable = message["executable"].as_str();
        for file in message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            selected.extend(select(Path::new(file), executable == Some(file)));
        }
    }
    if !child.wait()?.success() {
        bail!("the build failed; cargo's messages are above");
    }
    Ok(selected)
}
