//! Parquet: types checked against the declaration, values cast without loss.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use domicile_types::limits;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{BATCH_ROWS, columns};
use crate::catalog::{Entry, type_name};
use crate::refusals::Refusals;
use crate::{FileFormat, HeaderProblem, StoreError};

/// An open Parquet file.
pub(crate) struct ParquetInput {
    reader: ParquetRecordBatchReader,
    positions: Vec<usize>,
    target: SchemaRef,
    rows: u64,
}

impl ParquetInput {
    pub(super) fn open(path: &Path, entry: &Entry) -> Result<Self, StoreError> {
        let unreadable = |source| StoreError::Parquet { row: 0, source };
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
        let claimed = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(u64::MAX);
        if claimed > limits::LOAD_ROWS_MAX {
            return Err(StoreError::TooLarge { unit: "rows", actual: claimed, max: limits::LOAD_ROWS_MAX });
        }
        let schema = builder.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let positions = columns::positions(entry, &names)?;
        for (field, position) in entry.schema.fields().iter().zip(&positions) {
            let found = schema.field(*position).data_type();
            if !columns::compatible(found, field.data_type()) {
                let problem = HeaderProblem::Type {
                    column: field.name().clone(),
                    expected: type_name(field.data_type()),
                    found: type_name(found),
                };
                return Err(StoreError::Header { dataset: entry.spec.dataset.name.clone(), problem });
            }
        }
        let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(unreadable)?;
        Ok(Self { reader, positions, target: columns::lenient(&entry.schema), rows: 0 })
    }

    pub(super) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|source| StoreError::format_error(FileFormat::Parquet, self.rows, source))?;
        self.rows += batch.num_rows() as u64;
        let batch = batch.project(&self.positions)?;
        columns::cast(&batch, &self.target, offset, refusals).map(Some)
    }
}
