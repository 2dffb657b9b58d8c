//! The plugin's code compiled for this machine: a runner that depends on its crate, and is told what to measure.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use arrow::array::ArrayRef;
use serde_json::Value as Json;

use super::sandboxed::Calls;
use crate::AuthorError;
use crate::project::{Progress, Project, build, cargo};

const MAIN: &str = include_str!("../../templates/bench/main.rs");
const SDK: &str = "domicile-sdk";

/// The runner at work. It ends with this value.
pub(super) struct Native {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

fn failed(detail: impl Into<String>) -> AuthorError {
    AuthorError::Native { detail: detail.into() }
}

impl Native {
    /// Builds the runner of a plugin and starts it with the columns of each workload.
    pub(super) fn start(project: &Project, workloads: &[&[ArrayRef]], progress: Progress) -> Result<Self, AuthorError> {
        let folder = project.target_dir.join("domicile-bench").join(&project.package);
        let binary = compile(project, &folder, progress)?;
        let input = folder.join("columns");
        fs::write(&input, super::columns::encode(workloads)).map_err(AuthorError::io(&input))?;
        let mut command = std::process::Command::new(&binary);
        command.arg(&input).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(AuthorError::io(&binary))?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let from = BufReader::new(from.ok_or_else(|| failed("its output is not piped"))?);
        Ok(Self { child, to, from })
    }

    /// How long calls with the first `rows` rows of a workload take.
    pub(super) fn round(&mut self, workload: usize, rows: usize, calls: Calls) -> Result<Duration, AuthorError> {
        let ended = |_| failed("the runner ended; its message is above");
        let to = self.to.as_mut().ok_or_else(|| failed("its input is not piped"))?;
        writeln!(to, "{workload} {rows} {} {}", calls.calls, calls.per_session).map_err(ended)?;
        to.flush().map_err(ended)?;
        let mut line = String::new();
        self.from.read_line(&mut line).map_err(ended)?;
        line.trim().parse().map(Duration::from_nanos).map_err(|_| failed("the runner ended; its message is above"))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // The runner ends once nobody can tell it anything; there is nothing to do where it has ended already.
        self.to = None;
        let _ = self.child.wait();
    }
}

fn compile(project: &Project, folder: &Path, progress: Progress) -> Result<PathBuf, AuthorError> {
    let (sdk, root) = sdk_and_root(project)?;
    let plugin = project.folder.canonicalize().map_err(AuthorError::io(&project.folder))?;
    let toml = |path: &Path| toml::Value::from(path.display().to_string()).to_string();
    let manifest = format!(
        "[package]\nname = \"domicile-bench\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nplugin = {{ package = \"{}\", path = {} }}\ndomicile-sdk = {{ path = {} }}\n\n\
         [profile.release]\nopt-level = 3\nlto = true\ncodegen-units = 1\npanic = \"abort\"\n\n[workspace]\n",
        project.package,
        toml(&plugin),
        toml(&sdk)
    );
    let write = |path: PathBuf, text: &str| fs::write(&path, text).map_err(AuthorError::io(&path));
    let source = folder.join("src");
    fs::create_dir_all(&source).map_err(AuthorError::io(&source))?;
    write(folder.join("Cargo.toml"), &manifest)?;
    write(source.join("main.rs"), MAIN)?;
    // The same versions of crates as in the plugin.
    let lock = root.join("Cargo.lock");
    if lock.is_file() {
        fs::copy(&lock, folder.join("Cargo.lock")).map_err(AuthorError::io(&lock))?;
    }
    let mut command = cargo(folder);
    command.args(["build", "--release", "--target-dir"]).arg(&project.target_dir);
    let select = |message: &Json| message["executable"].as_str().map(PathBuf::from).into_iter().collect();
    let built = build(command, progress, folder, "build", select).map_err(|error| match error {
        AuthorError::CargoFailed { .. } => failed(
            "it does not build (see above); its Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]`, \
             and the SDK's attribute has to be at the root of the crate",
        ),
        other => other,
    })?;
    let binary = built.into_iter().find(|path| path.file_stem() == Some(OsStr::new("domicile-bench")));
    binary.ok_or_else(|| failed("cargo built no runner"))
}

/// Where the SDK lies that the plugin is built with, and the root of the plugin's workspace.
fn sdk_and_root(project: &Project) -> Result<(PathBuf, PathBuf), AuthorError> {
    let mut command = cargo(&project.folder);
    let output = command.args(["metadata", "--format-version", "1"]).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| AuthorError::CargoMissing { detail: error.to_string() })?;
    let metadata: Json = serde_json::from_slice(&output.stdout)
        .map_err(|_| AuthorError::CargoFailed { verb: "metadata", folder: project.folder.clone() })?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let sdk = packages.find(|package| package["name"].as_str() == Some(SDK));
    let sdk = sdk.and_then(|sdk| Path::new(sdk["manifest_path"].as_str()?).parent());
    let sdk = sdk.ok_or_else(|| failed(format!("it does not depend on `{SDK}`")))?;
    Ok((sdk.to_path_buf(), PathBuf::from(metadata["workspace_root"].as_str().unwrap_or_default())))
}
