//! A plugin's Rust package, and the cargo that builds it.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::AuthorError;

/// The target that plugins are built for.
const TARGET: &str = "wasm32-wasip2";
/// What the engine of every region runs beyond the target's defaults: loops over columns become vector instructions.
const FEATURES: &str = "target-feature=+simd128";

/// Whether cargo says what it does, on standard error. Its errors are always shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It does.
    Shown,
    /// It does not.
    Quiet,
}

/// A package on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// The folder of its `Cargo.toml`.
    pub(crate) folder: PathBuf,
    pub(crate) package: String,
    pub(crate) version: String,
    /// Where cargo puts what it builds.
    pub(crate) target_dir: PathBuf,
    manifest: PathBuf,
}

impl Project {
    /// The package whose `Cargo.toml` lies in a folder.
    pub(crate) fn of(folder: &Path) -> Result<Self, AuthorError> {
        let none = || AuthorError::NoPackage { folder: folder.to_path_buf() };
        let manifest = folder.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(none());
        }
        let manifest = manifest.canonicalize().map_err(AuthorError::io(&manifest))?;
        let mut command = cargo(folder);
        command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(&manifest);
        let output = command.stderr(Stdio::inherit()).output().map_err(missing)?;
        let failed = || AuthorError::CargoFailed { verb: "metadata", folder: folder.to_path_buf() };
        if !output.status.success() {
            return Err(failed());
        }
        let metadata: Json = serde_json::from_slice(&output.stdout).map_err(|_| failed())?;
        let mut packages = metadata["packages"].as_array().into_iter().flatten();
        let package = packages.find(|package| package["manifest_path"].as_str().map(Path::new) == Some(&manifest));
        let package = package.ok_or_else(none)?;
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            folder: folder.to_path_buf(),
            package: text(&package["name"]),
            version: text(&package["version"]),
            target_dir: PathBuf::from(text(&metadata["target_directory"])),
            manifest,
        })
    }

    /// Builds the component as it is deployed: optimized, without debug information, with the names of functions for
    /// the traces of traps.
    pub(crate) fn component(&self, progress: Progress) -> Result<PathBuf, AuthorError> {
        ensure_target(&self.folder)?;
        let mut command = cargo(&self.folder);
        command.args(["build", "--release", "--lib", "--target", TARGET, "--manifest-path"]).arg(&self.manifest);
        command.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
        vector_instructions(&mut command);
        let files = build(command, progress, &self.folder, "build", |message| {
            let own = message["manifest_path"].as_str().map(Path::new) == Some(&self.manifest);
            let files = message["filenames"].as_array().into_iter().flatten().filter_map(Json::as_str);
            files.filter(|_| own).map(PathBuf::from).collect()
        })?;
        let component = files.into_iter().find(|path| path.extension() == Some(OsStr::new("wasm")));
        component.ok_or_else(|| AuthorError::NoComponent { package: self.package.clone() })
    }
}

/// Runs a cargo build and collects the files that `select` takes from each of its messages.
pub(crate) fn build(
    mut command: Command,
    progress: Progress,
    folder: &Path,
    verb: &'static str,
    select: impl Fn(&Json) -> Vec<PathBuf>,
) -> Result<Vec<PathBuf>, AuthorError> {
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    if progress == Progress::Quiet {
        command.arg("--quiet");
    }
    let mut child = command.spawn().map_err(missing)?;
    let mut selected = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let messages = lines.filter_map(|line| serde_json::from_str::<Json>(&line).ok());
        selected = messages.flat_map(|message| select(&message)).collect();
    }
    match child.wait().map_err(missing)?.success() {
        true => Ok(selected),
        false => Err(AuthorError::CargoFailed { verb, folder: folder.to_path_buf() }),
    }
}

fn missing(error: std::io::Error) -> AuthorError {
    AuthorError::CargoMissing { detail: error.to_string() }
}

/// Cargo without standard input, in the folder of the package, whose toolchain file counts.
///
/// What another cargo told this process of its own package is kept from it: build scripts that watch such variables
/// would run again each time.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Adds the flag to those that the author set; in cargo, flags from the environment hide those of configuration files.
fn vector_instructions(command: &mut Command) {
    let separator = '\u{1f}';
    if let Ok(flags) = env::var("CARGO_ENCODED_RUSTFLAGS") {
        command.env("CARGO_ENCODED_RUSTFLAGS", format!("{flags}{separator}-C{separator}{FEATURES}"));
    } else if let Ok(flags) = env::var("RUSTFLAGS") {
        command.env("RUSTFLAGS", format!("{flags} -C {FEATURES}"));
    } else {
        command.args(["--config", &format!("target.{TARGET}.rustflags = [\"-C\", \"{FEATURES}\"]")]);
    }
}

/// Makes sure that the target of plugins is installed, by rustup where it is not.
fn ensure_target(folder: &Path) -> Result<(), AuthorError> {
    let rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .output();
    let installed = rustc.is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if installed {
        return Ok(());
    }
    let lacking = |detail: &str| AuthorError::TargetMissing { target: TARGET, detail: detail.to_owned() };
    let rustup =
        Command::new("rustup").args(["target", "add", TARGET]).current_dir(folder).stdin(Stdio::null()).status();
    match rustup {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(lacking("`rustup target add` failed, perhaps for lack of a network")),
        Err(_) => Err(lacking("there is no rustup to add it")),
    }
}
