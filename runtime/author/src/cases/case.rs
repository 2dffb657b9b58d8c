//! A case: a folder with `case.toml`, what goes in, and what is expected to come out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use domicile_config::strict;
use serde::Deserialize;

use crate::apply::Request;
use crate::files::{ENDINGS, LocalRows};
use crate::{AuthorError, Table};

/// The file that makes a folder a case.
pub(crate) const CASE_FILE: &str = "case.toml";
const TABLES_DIR: &str = "tables";

/// What `case.toml` may say; all of it is optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// World `functions`: the function.
    function: Option<String>,
    /// World `functions`: columns of the input for arguments of another name.
    columns: BTreeMap<String, String>,
    /// Aggregate functions: the column that tells groups apart.
    group_by: Option<String>,
    /// World `mapper`: the column that tells entities apart.
    entity: Option<String>,
    /// World `merge`: the column that tells rows apart.
    row: Option<String>,
    /// Worlds `mapper` and `query`: parameters that differ from their defaults.
    parameters: BTreeMap<String, toml::Value>,
    /// World `query`: regions that the rows are spread over.
    regions: usize,
    /// How far doubles may be apart.
    pub(crate) tolerance: f64,
    /// Whether rows may come in any order.
    pub(crate) any_row_order: bool,
    /// World `merge`: whether which version was written first must not matter.
    pub(crate) any_order: bool,
    /// A part of the error that is expected instead of an answer.
    pub(crate) error: Option<String>,
}

impl Settings {
    fn read(path: &Path) -> Result<Self, AuthorError> {
        let text = fs::read_to_string(path).map_err(AuthorError::io(path))?;
        let settings: Self = strict::parse(&path.display().to_string(), &text)?;
        if settings.tolerance.is_finite() && settings.tolerance >= 0.0 {
            return Ok(settings);
        }
        let problem = "`tolerance` is to be a number of 0 or more".to_owned();
        Err(AuthorError::CaseFiles { folder: path.to_path_buf(), problem })
    }

    pub(crate) fn request(&self) -> Request {
        let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Request {
            function: self.function.clone(),
            columns: self.columns.clone(),
            group_by: self.group_by.clone(),
            entity: self.entity.clone(),
            row: self.row.clone(),
            parameters: self.parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            regions: self.regions,
        }
    }
}

/// What goes in: rows, or tables for a query's SQL.
pub(crate) enum Given {
    Rows(LocalRows),
    Tables(Vec<Table>),
}

/// A case, its input read.
pub(crate) struct Case {
    pub(crate) folder: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) given: Given,
    input_ending: String,
}

/// The folders of the cases, in the order of their names.
pub(crate) fn folders(cases: &Path) -> Result<Vec<PathBuf>, AuthorError> {
    let none = || AuthorError::NoCases { folder: cases.to_path_buf() };
    if !cases.is_dir() {
        return Err(none());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(cases).map_err(AuthorError::io(cases))? {
        let folder = entry.map_err(AuthorError::io(cases))?.path();
        if folder.join(CASE_FILE).is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    if folders.is_empty() { Err(none()) } else { Ok(folders) }
}

impl Case {
    pub(crate) fn read(folder: &Path) -> Result<Self, AuthorError> {
        let settings = Settings::read(&folder.join(CASE_FILE))?;
        let input = one(folder, "input")?;
        let tables = folder.join(TABLES_DIR);
        let given = match &input {
            Some(path) => Given::Rows(LocalRows::read(path)?),
            None if tables.is_dir() => Given::Tables(read_tables(&tables)?),
            None => {
                let problem = "there is no `input.csv` (or .json, .ndjson, .parquet)".to_owned();
                return Err(AuthorError::CaseFiles { folder: folder.to_path_buf(), problem });
            }
        };
        let ending = input.and_then(|path| Some(path.extension()?.to_string_lossy().into_owned()));
        let input_ending = ending.unwrap_or_else(|| "csv".to_owned());
        Ok(Self { folder: folder.to_path_buf(), settings, given, input_ending })
    }

    /// The file with what is expected, where there is one.
    pub(crate) fn expected(&self) -> Result<Option<PathBuf>, AuthorError> {
        one(&self.folder, "expected")
    }

    /// Where an answer is written that becomes the expected one: over the old one, or beside the input, in its format.
    pub(crate) fn expected_or_new(&self) -> Result<PathBuf, AuthorError> {
        let new = || self.folder.join(format!("expected.{}", self.input_ending));
        Ok(self.expected()?.unwrap_or_else(new))
    }
}

fn read_tables(folder: &Path) -> Result<Vec<Table>, AuthorError> {
    let mut tables = Vec::new();
    for entry in fs::read_dir(folder).map_err(AuthorError::io(folder))? {
        let path = entry.map_err(AuthorError::io(folder))?.path();
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        tables.push(Table { name, rows: LocalRows::read(&path)?.inferred()? });
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

/// The file of a name, whichever of the known endings it has.
fn one(folder: &Path, name: &str) -> Result<Option<PathBuf>, AuthorError> {
    let paths = ENDINGS.iter().map(|(ending, _)| folder.join(format!("{name}.{ending}")));
    let mut found = paths.filter(|path| path.is_file());
    let (first, second) = (found.next(), found.next());
    if second.is_some() {
        let problem = format!("there are several files `{name}`; keep one of them");
        return Err(AuthorError::CaseFiles { folder: folder.to_path_buf(), problem });
    }
    Ok(first)
}

/// The expected rows, in the columns and types of an answer. Other columns of the file are left out.
pub(crate) fn expected_rows(path: &Path, answer: &RecordBatch) -> Result<RecordBatch, AuthorError> {
    let file = LocalRows::read(path)?;
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        let kind = domicile_sandbox::ValueType::from_arrow(field.data_type());
        let kind = kind.unwrap_or(domicile_sandbox::ValueType::Text);
        Ok((field.name().clone(), file.column(field.name(), kind)?, true))
    };
    let columns = answer.schema_ref().fields().iter().map(column).collect::<Result<Vec<_>, AuthorError>>()?;
    if file.rows() == 0 {
        return Ok(answer.slice(0, 0));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}
