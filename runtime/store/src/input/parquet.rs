//! Parquet: types checked against the declaration, values cast without loss.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use domicile_types::limits;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::columns::{self, Wanted};
use super::{BATCH_ROWS, Format, guarded};
use crate::StoreError;
use crate::refusals::Refusals;

/// An open Parquet file.
pub(crate) struct ParquetInput {
    reader: ParquetRecordBatchReader,
    positions: Vec<usize>,
    wanted: Wanted,
    rows: u64,
}

impl ParquetInput {
    pub(super) fn open(path: &Path, wanted: &Wanted) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let builder = guarded(|| ParquetRecordBatchReaderBuilder::try_new(file)).map_err(malformed(0))?;
        let claimed = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(u64::MAX);
        if claimed > limits::LOAD_ROWS_MAX {
            return Err(StoreError::TooLarge { unit: "rows", actual: claimed, max: limits::LOAD_ROWS_MAX });
        }
        let positions = wanted.typed_positions(builder.schema())?;
        let reader = guarded(|| builder.with_batch_size(BATCH_ROWS).build()).map_err(malformed(0))?;
        Ok(Self { reader, positions, wanted: wanted.clone(), rows: 0 })
    }

    pub(super) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        let Some(batch) = guarded(|| self.reader.next().transpose()).map_err(malformed(self.rows))? else {
            return Ok(None);
        };
        self.rows += batch.num_rows() as u64;
        let batch = batch.project(&self.positions)?;
        columns::cast(&batch, &self.wanted.schema, offset, refusals).map(Some)
    }
}

fn malformed(row: u64) -> impl FnOnce(String) -> StoreError {
    move |problem| StoreError::Malformed { format: Format::Parquet, row, problem }
}
