//! `plugin run`: one question over local files, without any server.

use std::path::PathBuf;

use arrow::array::RecordBatch;

use crate::apply::{Input, Request, prepare};
use crate::component;
use crate::files::LocalRows;
use crate::project::Progress;
use crate::{AuthorError, InputSql, Table, text_table};

/// Rows that a table for people shows.
const SHOWN_ROWS_MAX: usize = 100;

/// What is to be run, over what.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The plugin's folder, which is built first, or a component.
    pub plugin: PathBuf,
    /// The rows; not where tables are given.
    pub input: Option<PathBuf>,
    /// World `query`: tables by their names in the plugin's SQL.
    pub tables: Vec<(String, PathBuf)>,
    /// What the plugin is asked.
    pub request: Request,
}

/// Asks the plugin and returns its answer.
///
/// # Errors
/// Where the plugin cannot be built or loaded, the files do not fit, or the plugin fails.
pub fn run(options: &RunOptions, sql: &dyn InputSql, progress: Progress) -> Result<RecordBatch, AuthorError> {
    let plugin = component::open(&options.plugin, progress)?.load()?;
    match (&options.input, options.tables.is_empty()) {
        (Some(input), true) => {
            let rows = LocalRows::read(input)?;
            prepare(&plugin, &options.request, &Input::Rows(&rows))?.answer()
        }
        (None, false) => {
            let table = |(name, path): &(String, PathBuf)| {
                Ok(Table { name: name.clone(), rows: LocalRows::read(path)?.inferred()? })
            };
            let tables = options.tables.iter().map(table).collect::<Result<Vec<_>, AuthorError>>()?;
            prepare(&plugin, &options.request, &Input::Tables(&tables, sql))?.answer()
        }
        (None, true) => Err(AuthorError::setting("give rows with `--input FILE`")),
        (Some(_), false) => Err(AuthorError::setting("give either rows with `--input`, or tables with `--table`")),
    }
}

/// An answer as a table for people: its first rows.
///
/// # Errors
/// Where a value cannot be shown.
pub fn shown(answer: &RecordBatch) -> Result<String, AuthorError> {
    text_table::of_rows(answer, SHOWN_ROWS_MAX)
}
