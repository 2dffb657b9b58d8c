//! A bounded run of rows of a load: gathered, checked, and put in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::util::display::array_value_to_string;
use domicile_types::{KeyValue, Residency, limits};

use crate::StoreError;
use crate::catalog::{ENTITY_COLUMN, Entry};
use crate::homes;
use crate::keys::{SortedKeys, key_columns};
use crate::load::Target;
use crate::parents::{self, Parent};
use crate::refusals::{RefusalReason, Refusals};
use crate::segment::Segment;

/// Rows of one batch that goes to the segment writer.
const WRITE_ROWS: usize = 8192;

/// Batches that were read and are not checked yet.
#[derive(Default)]
pub(crate) struct Gathered {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Gathered {
    pub(crate) fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= limits::LOAD_CHUNK_ROWS_MAX || self.bytes >= limits::LOAD_CHUNK_BYTES_MAX
    }

    /// All rows as one batch; none where nothing was gathered.
    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let gathered = std::mem::take(self);
        let Some(first) = gathered.batches.first() else { return Ok(None) };
        Ok(Some(concat_batches(first.schema_ref(), &gathered.batches)?))
    }
}

/// Rows that went through every check, and the order to write them in.
pub(crate) struct Checked {
    columns: Vec<ArrayRef>,
    order: Option<UInt32Array>,
    rows: usize,
}

impl Checked {
    /// The rows in the order of the primary key, as the segments' columns.
    ///
    /// Meant for chunks without refused rows: a missing value where one is required is an error here.
    pub(crate) fn batches(
        &self,
        schema: &SchemaRef,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, StoreError>>, StoreError> {
        let rows = RecordBatch::try_new(Arc::clone(schema), self.columns.clone())?;
        let slice = move |start: usize| {
            let length = WRITE_ROWS.min(self.rows - start);
            match &self.order {
                Some(order) => Ok(take_record_batch(&rows, &order.slice(start, length))?),
                None => Ok(rows.slice(start, length)),
            }
        };
        Ok((0..self.rows).step_by(WRITE_ROWS).map(slice))
    }
}

/// Checks one chunk, whose rows are the ones that `refusals` is at. `written` are the load's segments so far.
pub(crate) fn check(
    target: &Target<'_>,
    rows: &RecordBatch,
    written: &[Segment],
    held: &mut BTreeSet<KeyValue>,
    refusals: &mut Refusals,
) -> Result<Checked, StoreError> {
    require_values(target.entry, rows, refusals);
    let entity = entity(target, rows, held, refusals)?;
    let order = match target.entry.primary_key() {
        [] => None,
        key => Some(unique(target, rows, key, written, refusals)?),
    };
    let columns = rows.columns().iter().cloned().chain(entity).collect();
    Ok(Checked { columns, order, rows: rows.num_rows() })
}

fn require_values(entry: &Entry, rows: &RecordBatch, refusals: &mut Refusals) {
    for (column, field) in rows.columns().iter().zip(entry.schema.fields()) {
        if column.null_count() == 0 || !entry.requires(field) {
            continue;
        }
        for row in (0..column.len()).filter(|row| column.is_null(*row)) {
            refusals.refuse(row, field.name(), || None, RefusalReason::Missing);
        }
    }
}

/// The entity of each row, once its home is found to be here; none for reference data.
fn entity(
    target: &Target<'_>,
    rows: &RecordBatch,
    held: &mut BTreeSet<KeyValue>,
    refusals: &mut Refusals,
) -> Result<Option<ArrayRef>, StoreError> {
    match &target.entry.spec.residency {
        Residency::Reference => Ok(None),
        Residency::Column { column, entity, homes } => {
            let values = single(rows, column)?;
            homes::check(column, &values, homes, target.region, held, refusals)?;
            single(rows, entity).map(Some)
        }
        Residency::Follows { dataset, column } => {
            let parent = target.catalog.entry(dataset)?;
            let parent = Parent {
                name: dataset,
                key: parent.primary_key().first().map_or("", String::as_str),
                segments: target.snapshot.segments(dataset),
                entity: target.entry.stored.field_with_name(ENTITY_COLUMN)?.data_type(),
            };
            parents::entities(column, &single(rows, column)?, &parent, refusals).map(Some)
        }
    }
}

/// Refuses rows whose primary key is taken. Gives the order of the key.
fn unique(
    target: &Target<'_>,
    rows: &RecordBatch,
    key: &[String],
    written: &[Segment],
    refusals: &mut Refusals,
) -> Result<UInt32Array, StoreError> {
    let names: Vec<&str> = key.iter().map(String::as_str).collect();
    let columns = key_columns(rows, &names)?;
    let keys = SortedKeys::new(&columns)?;
    let mut refuse = |row: usize, reason| {
        let value = || {
            let texts = columns.iter().map(|column| array_value_to_string(column, row));
            texts.collect::<Result<Vec<_>, _>>().ok().map(|texts| texts.join(", "))
        };
        refusals.refuse(row, &key.join(", "), value, reason);
    };
    for row in keys.repeated() {
        refuse(row, RefusalReason::RepeatedKey);
    }
    let stored = target.snapshot.segments(&target.entry.spec.dataset.name).iter().map(AsRef::as_ref);
    let stored = stored.map(|segment| (segment, RefusalReason::StoredKey));
    let written = written.iter().map(|segment| (segment, RefusalReason::RepeatedKey));
    for (segment, reason) in stored.chain(written) {
        keys.join(segment, &names, None, |_, hits| {
            hits.iter().for_each(|hit| refuse(hit.chunk_row as usize, reason.clone()));
            Ok(())
        })?;
    }
    Ok(keys.order().clone())
}

fn single(rows: &RecordBatch, name: &str) -> Result<ArrayRef, StoreError> {
    Ok(ArrayRef::clone(rows.column(rows.schema_ref().index_of(name)?)))
}
