//! Columns of texts that grow row by row, to be parsed together.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use domicile_types::limits;

use super::BATCH_ROWS;
use crate::StoreError;

/// Rows of texts, one column for each of the wanted ones.
pub(super) struct Texts {
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    rows: usize,
    bytes: usize,
}

impl Texts {
    pub(super) fn new(wanted: &Schema) -> Self {
        let fields = wanted.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = wanted.fields().iter().map(|_| StringBuilder::new()).collect();
        Self { schema, columns, rows: 0, bytes: 0 }
    }

    /// Puts a value into a column. Each column takes one value a row.
    pub(super) fn push(&mut self, column: usize, value: Option<&str>) {
        self.columns[column].append_option(value);
        self.bytes += value.map_or(0, str::len);
    }

    /// Ends a row.
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= limits::TEXT_BATCH_BYTES_MAX
    }

    /// The rows so far, none of which stay; none where there are none.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows == 0 {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?))
    }
}
