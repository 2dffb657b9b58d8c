//! Rows that have types already, handed on in runs that take bounded memory once each text has a place of its own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MutableArrayData, RecordBatch, make_array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Field, Schema};
use domicile_types::limits;

use super::{BATCH_ROWS, Format};
use crate::StoreError;

/// Rows that were read and are not handed on.
#[derive(Default)]
pub(super) struct Typed {
    pending: Option<RecordBatch>,
    rows: u64,
}

impl Typed {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_none()
    }

    /// Rows that were handed on.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes rows in, where there are none.
    pub(super) fn put(&mut self, batch: RecordBatch) {
        self.pending = Some(batch).filter(|batch| batch.num_rows() > 0);
    }

    /// The next rows, in memory of their own: what is kept of them must not keep what they were read from.
    pub(super) fn take(&mut self, format: Format) -> Result<Option<RecordBatch>, StoreError> {
        let Some(pending) = self.pending.take() else { return Ok(None) };
        let rows = self.fitting(&pending)?;
        if rows < pending.num_rows() {
            self.pending = Some(pending.slice(rows, pending.num_rows() - rows));
        }
        let columns = pending.columns().iter().map(|column| own(&column.slice(0, rows), format, self.rows));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        self.rows += rows as u64;
        let fields = pending.schema_ref().fields().iter().zip(&columns);
        let field = |(field, column): (&Arc<Field>, &ArrayRef)| {
            field.as_ref().clone().with_data_type(column.data_type().clone()).with_nullable(true)
        };
        Ok(Some(RecordBatch::try_new(Arc::new(Schema::new(fields.map(field).collect::<Vec<_>>())), columns)?))
    }

    /// How many of the rows may be handed on together: at least one.
    fn fitting(&self, batch: &RecordBatch) -> Result<usize, StoreError> {
        let mut lengths = vec![0_u64; batch.num_rows().min(BATCH_ROWS)];
        batch.columns().iter().for_each(|column| add_lengths(&column.slice(0, lengths.len()), &mut lengths));
        let mut total = 0;
        for (row, length) in lengths.iter().enumerate() {
            if *length > limits::ROW_BYTES_MAX as u64 {
                let (row, max) = (self.rows + row as u64, limits::ROW_BYTES_MAX as u64);
                return Err(StoreError::Oversized {
                    what: "row",
                    row,
                    max,
                    unit: "bytes",
                    advice: "shorten its texts",
                });
            }
            total += length;
            if total > limits::TEXT_BATCH_BYTES_MAX as u64 && row > 0 {
                return Ok(row);
            }
        }
        Ok(lengths.len())
    }
}

/// Adds the bytes of each text of the column.
fn add_lengths(column: &ArrayRef, lengths: &mut [u64]) {
    let mut add = |length: &dyn Fn(usize) -> u64| {
        let nulls = column.nulls();
        let is_valid = |row: &usize| nulls.is_none_or(|nulls| nulls.is_valid(*row));
        for (row, sum) in lengths.iter_mut().enumerate().filter(|(row, _)| is_valid(row)) {
            *sum += length(row);
        }
    };
    match column.as_any_dictionary_opt() {
        // Nothing is valid then.
        Some(dictionary) if dictionary.values().is_empty() => {}
        Some(dictionary) => {
            let Some(length) = length_in(dictionary.values().as_ref()) else { return };
            let keys = dictionary.normalized_keys();
            add(&|row| length(keys[row]));
        }
        None => {
            if let Some(length) = length_in(column.as_ref()) {
                add(&length);
            }
        }
    }
}

/// The bytes of a text by its place; none where they are no texts.
fn length_in(texts: &dyn Array) -> Option<Box<dyn Fn(usize) -> u64 + '_>> {
    // The length of a view is in its lowest bits.
    let in_view = |view: u128| view as u32;
    Some(match texts.data_type() {
        DataType::Utf8 => {
            let texts = texts.as_string::<i32>();
            Box::new(|at| u64::from(texts.value_length(at).unsigned_abs()))
        }
        DataType::LargeUtf8 => {
            let texts = texts.as_string::<i64>();
            Box::new(|at| texts.value_length(at).unsigned_abs())
        }
        DataType::Utf8View => {
            let views = texts.as_string_view().views();
            Box::new(move |at| in_view(views[at]).into())
        }
        DataType::BinaryView => {
            let views = texts.as_binary_view().views();
            Box::new(move |at| in_view(views[at]).into())
        }
        _ => return None,
    })
}

/// The same values in memory of their own, each text in a place of its own.
fn own(column: &ArrayRef, format: Format, row: u64) -> Result<ArrayRef, StoreError> {
    if let Some(dictionary) = column.as_any_dictionary_opt() {
        let texts = take(dictionary.values().as_ref(), dictionary.keys(), None)?;
        return own(&texts, format, row);
    }
    let views = match column.data_type() {
        DataType::Utf8View => column.as_string_view().clone().to_binary_view(),
        DataType::BinaryView => column.as_binary_view().clone(),
        _ => {
            let data = column.to_data();
            let mut copy = MutableArrayData::new(vec![&data], false, data.len());
            copy.try_extend(0, 0, data.len())?;
            return Ok(make_array(copy.freeze()));
        }
    };
    // What reads views does not always look at what they show.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&views, &DataType::Utf8, &strict).map_err(|_| {
        let problem = "a text in the next rows is not UTF-8".to_owned();
        StoreError::Malformed { format, row, problem }
    })
}
