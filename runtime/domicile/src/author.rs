//! `domicile plugin new`, `build`, `test`, `bench` and `run`: the plugin author's loop, without a server.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use arrow::array::RecordBatch;
use clap::{Subcommand, ValueEnum};
use domicile_author::{
    AuthorError, BenchOptions, Format, InputSql, NewOptions, Progress, Request, RunOptions, Table, TestOptions, World,
};
use domicile_query::select_local;
use domicile_sandbox::Value;
use serde_json::json;

use crate::output::{Failure, Output, say};

/// Verbs that need no edge.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthorVerb {
    /// Make a crate for a plugin: it compiles, passes its tests and shows the way.
    New {
        /// The plugin's name: lower-case letters, digits and `_`.
        name: String,
        /// What the plugin is to be.
        #[arg(long, value_enum)]
        world: WorldChoice,
        /// The folder to make; one of the plugin's name by default.
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
    },
    /// Build a plugin, and load it under the limits that a region has.
    Build {
        /// The plugin's folder.
        #[arg(default_value = ".", value_name = "DIR")]
        folder: PathBuf,
    },
    /// Run a plugin's cases under the limits that a region has; exit code 4 where one fails.
    Test {
        /// The plugin's folder, which is built first, or a component.
        #[arg(default_value = ".", value_name = "DIR|WASM")]
        plugin: PathBuf,
        /// The folder of the cases; `tests` in the plugin's folder by default.
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
        /// Write what comes out as what is expected.
        #[arg(long)]
        update: bool,
    },
    /// Measure a plugin in the sandbox, beside the same code natively.
    Bench(Bench),
    /// Ask a plugin about local files, without a server.
    Run(Box<Run>),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum WorldChoice {
    /// Functions for SQL.
    Functions,
    /// From the rows of one entity to a few declared, bounded values.
    Mapper,
    /// A question with a name: SQL in each region, then code.
    Query,
    /// Resolves conflicts between versions of a row.
    Merge,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// The plugin's folder, which is built first, or a component, which has no native half to compare with.
    #[arg(default_value = ".", value_name = "DIR|WASM")]
    plugin: PathBuf,
    /// Rows to call it with; they are made where there are none.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Measure this function only.
    #[arg(long)]
    function: Option<String>,
    /// The seed of rows that are made.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds that figures are medians of.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// How long a round takes about, in milliseconds.
    #[arg(long, default_value_t = 100, value_name = "N")]
    round_ms: u64,
    /// Fresh instances that are started.
    #[arg(long, default_value_t = 300)]
    starts: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The plugin's folder, which is built first, or a component.
    #[arg(value_name = "WASM|DIR")]
    plugin: PathBuf,
    /// The rows: .csv, .json, .ndjson, .jsonl or .parquet. Of a query, those that its SQL would give.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Queries: a table that the plugin's SQL reads.
    #[arg(long = "table", value_name = "NAME=FILE", value_parser = pair)]
    tables: Vec<(String, String)>,
    /// Functions: which one, where there are several.
    #[arg(long)]
    function: Option<String>,
    /// Functions: the column for an argument of another name.
    #[arg(long = "column", value_name = "ARGUMENT=COLUMN", value_parser = pair)]
    columns: Vec<(String, String)>,
    /// Aggregate functions: the column that tells groups apart.
    #[arg(long, value_name = "COLUMN")]
    group_by: Option<String>,
    /// Mappers: the column that tells entities apart.
    #[arg(long, value_name = "COLUMN")]
    entity: Option<String>,
    /// Conflicts: the column that tells rows apart.
    #[arg(long, value_name = "COLUMN")]
    row: Option<String>,
    /// Mappers and queries: a parameter that is not its default.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// Queries: regions that the rows are spread over.
    #[arg(long, default_value_t = 1, value_name = "N")]
    regions: usize,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "table")]
    format: FormatChoice,
    /// The file that the answer is written to, in the format of its name.
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatChoice {
    /// For people; the first rows.
    Table,
    /// A row of names, then a row a line.
    Csv,
    /// An array of objects.
    Json,
    /// An object a line.
    Ndjson,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl From<AuthorError> for Failure {
    fn from(error: AuthorError) -> Self {
        Self::usage(error)
    }
}

/// The engine that regions have, over local tables.
struct RegionsSql;

impl InputSql for RegionsSql {
    fn select(&self, sql: &str, tables: &[Table], parameters: &[(String, Value)]) -> Result<Vec<RecordBatch>, String> {
        let tables: Vec<_> = tables.iter().map(|table| (table.name.clone(), table.rows.clone())).collect();
        select_local(sql, &tables, parameters).map_err(|error| error.to_string())
    }
}

/// Does what a verb says.
pub(crate) fn run(output: Output, verb: AuthorVerb) -> Result<(), Failure> {
    let sql = &RegionsSql;
    match verb {
        AuthorVerb::New { name, world, path } => {
            let world = match world {
                WorldChoice::Functions => World::Functions,
                WorldChoice::Mapper => World::Mapper,
                WorldChoice::Query => World::Query,
                WorldChoice::Merge => World::Merge,
            };
            let folder = domicile_author::create(&NewOptions { name, world, path })?.display().to_string();
            output.show(&json!({ "folder": folder, "world": world.name() }), || {
                say!("{folder}: a plugin of the world `{}`; next:", world.name());
                say!("  cd {folder}\n  cargo test\n  domicile plugin test");
            });
        }
        AuthorVerb::Build { folder } => {
            let built = domicile_author::build(&folder, Progress::Shown)?;
            output.show(&built.to_json(), || say!("{built}"));
        }
        AuthorVerb::Test { plugin, cases, update } => {
            let report = domicile_author::test(&TestOptions { plugin, cases, update }, sql, Progress::Shown)?;
            output.show(&report.to_json(), || say!("{report}"));
            if !report.passed() {
                return Err(Failure::Unverified(format!("{} of the cases failed", report.failures())));
            }
        }
        AuthorVerb::Bench(bench) => {
            let Bench { plugin, input, function, seed, rounds, round_ms, starts } = bench;
            let round_time = Duration::from_millis(round_ms);
            let options = BenchOptions { plugin, input, function, seed, rounds, round_time, starts };
            let report = domicile_author::bench(&options, Progress::Shown)?;
            output.show(&report.to_json(), || say!("{report}"));
        }
        AuthorVerb::Run(run) => ask(output, *run, sql)?,
    }
    Ok(())
}

fn ask(output: Output, run: Run, sql: &dyn InputSql) -> Result<(), Failure> {
    let options = RunOptions {
        plugin: run.plugin,
        input: run.input,
        tables: run.tables.into_iter().map(|(name, file)| (name, PathBuf::from(file))).collect(),
        request: Request {
            function: run.function,
            columns: run.columns.into_iter().collect(),
            group_by: run.group_by,
            entity: run.entity,
            row: run.row,
            parameters: run.parameters.into_iter().collect(),
            regions: run.regions,
        },
    };
    let answer = domicile_author::run(&options, sql, Progress::Shown)?;
    if let Some(path) = run.output {
        let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let format = Format::of(&path)?;
        return domicile_author::write(&answer, format, File::create(&path).map_err(failed)?).map_err(failed);
    }
    let format = match run.format {
        FormatChoice::Table if output.json => Format::Json,
        FormatChoice::Table => {
            say!("{}", domicile_author::shown(&answer)?.trim_end());
            return Ok(());
        }
        FormatChoice::Csv => Format::Csv,
        FormatChoice::Json => Format::Json,
        FormatChoice::Ndjson => Format::Ndjson,
    };
    let mut text = Vec::new();
    domicile_author::write(&answer, format, &mut text).map_err(anyhow::Error::from)?;
    say!("{}", String::from_utf8_lossy(&text).trim_end());
    Ok(())
}
