//! The command line of the binary, run as a user would run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::Answer;

/// The binary, pointed at one edge.
#[derive(Debug, Clone)]
pub struct Cli {
    binary: PathBuf,
    edge: String,
    token: Option<String>,
}

/// What a run of the binary left behind.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Cli {
    /// The binary at that path, with `DOMICILE_EDGE` set to the URL of an edge.
    pub fn new(binary: &Path, edge: &str) -> Self {
        Self { binary: binary.to_path_buf(), edge: edge.to_owned(), token: None }
    }

    /// The same with `DOMICILE_TOKEN` set to this token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Runs a verb with `--json`.
    ///
    /// # Errors
    /// Where the binary cannot be started. A refusal is not an error here: see [`Ran::code`].
    pub fn json(&self, arguments: &[&str]) -> Result<Ran> {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        self.run(&arguments)
    }

    /// Runs a verb as it is.
    ///
    /// # Errors
    /// As for [`Cli::json`].
    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let output = Command::new(&self.binary)
            .args(arguments)
            .env("DOMICILE_EDGE", &self.edge)
            .env("DOMICILE_TOKEN", self.token.as_deref().unwrap_or_default())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.binary.display()))?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Ran {
    /// What was printed as JSON: on standard output, or for a refusal on standard error.
    ///
    /// # Errors
    /// Where there is none; the error shows both streams.
    pub fn document(&self) -> Result<Value> {
        let printed = serde_json::from_str(self.stdout.trim()).or_else(|_| serde_json::from_str(self.stderr.trim()));
        printed.ok().with_context(|| format!("no JSON came, {}", self.shown()))
    }

    /// This run, where it succeeded.
    ///
    /// # Errors
    /// Where it did not; the error shows both streams.
    pub fn success(self) -> Result<Self> {
        if self.code != 0 {
            bail!("{}", self.shown());
        }
        Ok(self)
    }

    /// The answer of a successful query.
    ///
    /// # Errors
    /// Where the run failed or printed something else.
    pub fn answer(self) -> Result<Answer> {
        Answer::new(self.success()?.document()?)
    }

    fn shown(&self) -> String {
        format!("exit code {}\n{}{}", self.code, self.stdout, self.stderr)
    }
}
