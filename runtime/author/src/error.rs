//! What can go wrong between a plugin's source and its figures.

use std::path::PathBuf;

use domicile_config::ConfigError;
use domicile_sandbox::SandboxError;
use domicile_types::{NameError, suggestion};

/// Why a verb of the author's loop could not do its work. What a test finds wrong is a report, not an error.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// The plugin's name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is something where a new plugin would be written.
    #[error("{} exists already and is left as it is; name another folder with --path", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no Rust package where one was looked for.
    #[error("{} has no package; name a plugin's folder, or make one with `domicile plugin new`", folder.display())]
    NoPackage {
        /// The folder.
        folder: PathBuf,
    },
    /// Cargo is not there.
    #[error("`cargo` cannot be run ({detail}); install Rust by rustup, see https://rustup.rs")]
    CargoMissing {
        /// What the system says.
        detail: String,
    },
    /// Cargo ended with a failure; its own messages went to standard error.
    #[error("`cargo {verb}` failed for {}; its messages are above", folder.display())]
    CargoFailed {
        /// What cargo was to do.
        verb: &'static str,
        /// For which package.
        folder: PathBuf,
    },
    /// The compiler's target for plugins is missing.
    #[error("Rust's target `{target}` is not installed, and {detail}; add it the way your Rust was installed")]
    TargetMissing {
        /// The target.
        target: &'static str,
        /// Why it was not added.
        detail: String,
    },
    /// The package builds no component.
    #[error("`{package}` builds no component; its Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\", \"rlib\"]`")]
    NoComponent {
        /// The package.
        package: String,
    },
    /// The plugin was refused, or a call into it failed.
    #[error(transparent)]
    Sandbox(Box<SandboxError>),
    /// A file's name does not say what is in it.
    #[error("{}: files are to end in .csv, .json, .ndjson, .jsonl or .parquet", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A file is larger than it may be.
    #[error("{} has {bytes} bytes, at most {limit} are read; take a part of it", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// What a file has cannot be read as rows.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file lacks a column.
    #[error("{} has no column `{column}`{}", path.display(), suggestion(nearest.as_deref()))]
    ColumnMissing {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The most similar column that it has.
        nearest: Option<String>,
    },
    /// A value is not of the type that the plugin declares.
    #[error("{}: row {row}, column `{column}`: {problem}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The row, from 1 on, headings aside.
        row: usize,
        /// The column.
        column: String,
        /// What is wrong with the value.
        problem: String,
    },
    /// A case's file is wrong.
    #[error(transparent)]
    Case(Box<ConfigError>),
    /// There is nothing to test.
    #[error("{} has no cases; a case is a folder with `case.toml`, `input.csv` and `expected.csv`", folder.display())]
    NoCases {
        /// Where they were looked for.
        folder: PathBuf,
    },
    /// A case lacks one of its files, or has two where one is needed.
    #[error("{}: {problem}", folder.display())]
    CaseFiles {
        /// The case.
        folder: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A setting is needed that was not given, or given where it means nothing.
    #[error("{problem}")]
    Setting {
        /// Which one, and why.
        problem: String,
    },
    /// A name that the plugin does not know.
    #[error("the plugin has no {what} `{name}`{}", suggestion(nearest.as_deref()))]
    Unknown {
        /// What was being named: a function, a parameter, an argument.
        what: &'static str,
        /// The name.
        name: String,
        /// The most similar one.
        nearest: Option<String>,
    },
    /// A parameter's value is not of its type.
    #[error("parameter `{parameter}`: {problem}")]
    Parameter {
        /// The parameter.
        parameter: String,
        /// What is wrong with the value.
        problem: String,
    },
    /// The query's input could not be run over local tables.
    #[error("the plugin's input cannot be run over the tables given: {detail}")]
    InputSql {
        /// What SQL says.
        detail: String,
    },
    /// The plugin's native half, which a benchmark compares with, did not answer.
    #[error("the native half of the plugin cannot be measured: {detail}")]
    Native {
        /// What happened.
        detail: String,
    },
    /// Columns did not fit together.
    #[error("columns do not fit together: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl From<SandboxError> for AuthorError {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(Box::new(error))
    }
}

impl From<ConfigError> for AuthorError {
    fn from(error: ConfigError) -> Self {
        Self::Case(Box::new(error))
    }
}

impl AuthorError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn setting(problem: impl Into<String>) -> Self {
        Self::Setting { problem: problem.into() }
    }
}
