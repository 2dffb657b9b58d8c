//! Local files of rows: CSV, JSON and Parquet, read by the types that a plugin declares.

mod arrow_rows;
mod json_rows;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
mod text_rows;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use domicile_sandbox::ValueType;
use domicile_types::limits::LOCAL_FILE_BYTES_MAX;
use domicile_types::nearest;

pub(crate) use text_rows::{of_values, parse_value};
pub use write::write;

use crate::AuthorError;

/// How a file holds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A row of column names, then a row a line. Nothing between two commas is a missing value.
    Csv,
    /// An array of objects.
    Json,
    /// An object a line.
    Ndjson,
    /// Parquet.
    Parquet,
}

/// The endings of file names that are known, in the order in which a case's files are looked for.
pub(crate) const ENDINGS: [(&str, Format); 5] = [
    ("csv", Format::Csv),
    ("json", Format::Json),
    ("ndjson", Format::Ndjson),
    ("jsonl", Format::Ndjson),
    ("parquet", Format::Parquet),
];

impl Format {
    /// The format that a file's name tells.
    ///
    /// # Errors
    /// Where its ending is not known.
    pub fn of(path: &Path) -> Result<Self, AuthorError> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let known = ENDINGS.iter().find(|(name, _)| ending.as_deref() == Some(name));
        known.map(|(_, format)| *format).ok_or_else(|| AuthorError::Format { path: path.to_path_buf() })
    }
}

enum Content {
    Texts(text_rows::TextRows),
    Json(json_rows::JsonRows),
    Arrow(RecordBatch),
}

/// The rows of a local file, in memory. Their types are those that are asked for.
pub(crate) struct LocalRows {
    path: PathBuf,
    content: Content,
}

impl LocalRows {
    /// Reads a file of at most [`LOCAL_FILE_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// Where it cannot be read, or has no rows of the format that its name tells.
    pub(crate) fn read(path: &Path) -> Result<Self, AuthorError> {
        let format = Format::of(path)?;
        let file = File::open(path).map_err(AuthorError::io(path))?;
        let bytes = file.metadata().map_err(AuthorError::io(path))?.len();
        if bytes > LOCAL_FILE_BYTES_MAX {
            return Err(AuthorError::FileTooLarge { path: path.to_path_buf(), bytes, limit: LOCAL_FILE_BYTES_MAX });
        }
        let unfit = |problem: String| AuthorError::File { path: path.to_path_buf(), problem };
        let content = match format {
            Format::Csv => Content::Texts(text_rows::read(&file).map_err(unfit)?),
            Format::Json | Format::Ndjson => {
                let text = std::io::read_to_string(&file).map_err(AuthorError::io(path))?;
                Content::Json(json_rows::read(&text).map_err(unfit)?)
            }
            Format::Parquet => Content::Arrow(arrow_rows::read(file).map_err(unfit)?),
        };
        Ok(Self { path: path.to_path_buf(), content })
    }

    /// The rows of a table that is in memory already, named `path` in messages.
    pub(crate) fn of(path: &Path, rows: RecordBatch) -> Self {
        Self { path: path.to_path_buf(), content: Content::Arrow(rows) }
    }

    /// Where the rows come from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        match &self.content {
            Content::Texts(texts) => texts.rows(),
            Content::Json(rows) => rows.rows(),
            Content::Arrow(batch) => batch.num_rows(),
        }
    }

    /// The names of the columns.
    pub(crate) fn columns(&self) -> Vec<String> {
        match &self.content {
            Content::Texts(texts) => texts.columns(),
            Content::Json(rows) => rows.columns(),
            Content::Arrow(batch) => batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect(),
        }
    }

    /// A column in a type.
    ///
    /// # Errors
    /// Where there is no such column, or a value has no such form; the row is named.
    pub(crate) fn column(&self, name: &str, kind: ValueType) -> Result<ArrayRef, AuthorError> {
        self.check(name)?;
        let array = match &self.content {
            Content::Texts(texts) => texts.column(name, kind),
            Content::Json(rows) => rows.column(name, kind),
            Content::Arrow(batch) => arrow_rows::column(batch, name, kind),
        };
        array.map_err(|(row, problem)| AuthorError::Cell {
            path: self.path.clone(),
            row: row + 1,
            column: name.to_owned(),
            problem,
        })
    }

    /// A column as text, whatever its type is: keys of groups and entities.
    ///
    /// # Errors
    /// Where there is no such column.
    pub(crate) fn keys(&self, name: &str) -> Result<StringArray, AuthorError> {
        self.check(name)?;
        match &self.content {
            Content::Texts(texts) => Ok(texts.keys(name)),
            Content::Json(rows) => Ok(rows.keys(name)),
            Content::Arrow(batch) => Ok(arrow_rows::keys(batch, name)?),
        }
    }

    /// All columns, in types that are read off the values.
    ///
    /// # Errors
    /// Where the columns do not fit together.
    pub(crate) fn inferred(&self) -> Result<RecordBatch, AuthorError> {
        let typed = |name: &str| {
            let candidates = [ValueType::BigInt, ValueType::Double, ValueType::Date, ValueType::Boolean];
            let fitting = candidates.into_iter().find_map(|kind| self.column(name, kind).ok());
            let fitting = fitting.filter(|array| array.null_count() < array.len());
            fitting.map_or_else(|| self.column(name, ValueType::Text), Ok)
        };
        if let Content::Arrow(batch) = &self.content {
            return Ok(batch.clone());
        }
        let columns = self.columns().into_iter().map(|name| Ok((name.clone(), typed(&name)?, true)));
        Ok(RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, AuthorError>>()?)?)
    }

    fn check(&self, name: &str) -> Result<(), AuthorError> {
        let columns = self.columns();
        if columns.iter().any(|column| column == name) {
            return Ok(());
        }
        let nearest = nearest(name, columns.iter().map(String::as_str)).map(str::to_owned);
        Err(AuthorError::ColumnMissing { path: self.path.clone(), column: name.to_owned(), nearest })
    }
}
