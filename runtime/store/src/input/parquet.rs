//! Parquet: types checked against the declaration, values cast without loss.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use domicile_types::limits;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaDataReader;

use super::columns::{self, Wanted};
use super::typed::Typed;
use super::{Format, guarded, parquet_footer, parquet_pages};
use crate::StoreError;
use crate::refusals::Refusals;

/// An open Parquet file.
pub(crate) struct ParquetInput {
    file: File,
    metadata: ArrowReaderMetadata,
    /// Row groups that were not begun.
    groups: Range<usize>,
    reader: Option<ParquetRecordBatchReader>,
    positions: Vec<usize>,
    wanted: Wanted,
    typed: Typed,
}

impl ParquetInput {
    pub(super) fn open(path: &Path, wanted: &Wanted) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        parquet_footer::check(&file).map_err(malformed(0))?;
        let metadata = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&file)).map_err(malformed(0))?;
        parquet_footer::check_arrow_schema(&metadata).map_err(malformed(0))?;
        let claimed = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(u64::MAX);
        if claimed > limits::LOAD_ROWS_MAX {
            return Err(StoreError::TooLarge { unit: "rows", actual: claimed, max: limits::LOAD_ROWS_MAX });
        }
        let (metadata, options) = (Arc::new(metadata), ArrowReaderOptions::new());
        let as_written = guarded(|| ArrowReaderMetadata::try_new(Arc::clone(&metadata), options.clone()));
        let as_written = as_written.map_err(malformed(0))?;
        let positions = wanted.typed_positions(as_written.schema())?;
        let options = options.with_schema(with_views(as_written.schema()));
        let metadata = guarded(|| ArrowReaderMetadata::try_new(metadata, options)).map_err(malformed(0))?;
        let groups = 0..metadata.metadata().num_row_groups();
        Ok(Self { file, metadata, groups, reader: None, positions, wanted: wanted.clone(), typed: Typed::default() })
    }

    pub(super) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        while self.typed.is_empty() {
            let row = self.typed.rows();
            let Some(reader) = &mut self.reader else {
                let Some(group) = self.groups.next() else { return Ok(None) };
                self.reader = Some(self.group(group)?);
                continue;
            };
            match guarded(|| reader.next().transpose()).map_err(malformed(row))? {
                Some(batch) => self.typed.put(batch.project(&self.positions)?),
                None => self.reader = None,
            }
        }
        let Some(batch) = self.typed.take(Format::Parquet)? else { return Ok(None) };
        columns::cast(&batch, &self.wanted.schema, offset, refusals).map(Some)
    }

    /// Begins a row group.
    fn group(&self, group: usize) -> Result<ParquetRecordBatchReader, StoreError> {
        let row = self.typed.rows();
        let about = self.metadata.metadata().row_group(group);
        let rows = parquet_pages::rows_at_once(&self.file, about, self.metadata.schema()).map_err(malformed(row))?;
        let rows = rows.ok_or(StoreError::Oversized {
            what: "row group",
            row,
            max: limits::PARQUET_READ_BYTES_MAX,
            unit: "bytes of pages that are read together",
            advice: "write smaller pages",
        })?;
        let reader = guarded(|| {
            let file = self.file.try_clone()?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
            builder.with_row_groups(vec![group]).with_batch_size(rows).build()
        });
        reader.map_err(malformed(row))
    }
}

/// The schema with texts as views, so that those that repeat lie in memory once.
fn with_views(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| match columns::is_texts(field.data_type()) {
        true => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        false => Arc::clone(field),
    };
    Arc::new(Schema::new_with_metadata(
        schema.fields().iter().map(field).collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

fn malformed(row: u64) -> impl FnOnce(String) -> StoreError {
    move |problem| StoreError::Malformed { format: Format::Parquet, row, problem }
}
