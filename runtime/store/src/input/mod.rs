//! Files to load, read as batches of the dataset's declared columns.
//!
//! A value that cannot become the declared type refuses its row and is left out of the batch; a missing value stays
//! missing here, whatever the declaration says.

mod columns;
mod csv;
mod parquet;

use std::path::Path;

use arrow::array::RecordBatch;

use crate::StoreError;
use crate::catalog::Entry;
use crate::refusals::Refusals;

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;

/// The format of a file to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated UTF-8 text. The first row names the columns; an empty field is a missing value; dates are
    /// written `2030-12-31`, decimals with a point.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// An open file to load.
pub(crate) enum Input {
    Csv(Box<csv::CsvInput>),
    Parquet(parquet::ParquetInput),
}

impl Input {
    pub(crate) fn open(path: &Path, format: FileFormat, entry: &Entry) -> Result<Self, StoreError> {
        match format {
            FileFormat::Csv => csv::CsvInput::open(path, entry).map(|input| Self::Csv(Box::new(input))),
            FileFormat::Parquet => parquet::ParquetInput::open(path, entry).map(Self::Parquet),
        }
    }

    /// The next batch, whose first row is row `offset` of the chunk that `refusals` is at.
    pub(crate) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        match self {
            Self::Csv(input) => input.next(offset, refusals),
            Self::Parquet(input) => input.next(offset, refusals),
        }
    }
}
