//! A bounded run of rows of a batch: gathered, checked, and divided into partitions.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt8Array, UInt32Array, new_null_array};
use arrow::compute::{concat, concat_batches, take_record_batch};
use arrow::datatypes::{Date32Type, SchemaRef};
use arrow::util::display::array_value_to_string;
use domicile_types::{Dataset, KeyValue, RegionId, Residency};

use crate::catalog::{Catalog, ENTITY_COLUMN, Entry};
use crate::lifecycle::oldest_bucket;
use crate::lookup::{self, Sources};
use crate::parents::{self, Parent};
use crate::partition::{self, PartitionKey};
use crate::refusals::{RefusalReason, Refusals};
use crate::rows::{self, Newest, columns_of};
use crate::version::{OP_COLUMN, OP_ROW, OP_TOMBSTONE};
use crate::{Operation, Segment, Snapshot, StoreError, homes, recent};

/// What the rows of a batch are checked against.
pub(crate) struct Target<'a> {
    pub(crate) region: &'a RegionId,
    pub(crate) catalog: &'a Catalog,
    pub(crate) entry: &'a Entry,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) operation: Operation,
    pub(crate) now_ms: u64,
    /// The stored columns without the versions: the operation comes last.
    pub(crate) logged: &'a SchemaRef,
}

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
        self.bytes += recent::bytes(&batch);
        self.batches.push(batch);
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All rows as one batch; none where nothing was gathered.
    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let gathered = std::mem::take(self);
        match gathered.batches.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            [first, ..] => Ok(Some(concat_batches(first.schema_ref(), &gathered.batches)?)),
        }
    }
}

/// Rows that went through every check: one batch, in which the rows of each partition lie together, in the order of
/// the key, with each key once.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) rows: RecordBatch,
    /// Partitions and how many of the rows are theirs, in order.
    pub(crate) parts: Vec<(PartitionKey, usize)>,
}

impl Checked {
    /// The rows of each partition.
    pub(crate) fn split(&self) -> impl Iterator<Item = (&PartitionKey, RecordBatch)> {
        let mut start = 0;
        self.parts.iter().map(move |(key, length)| {
            start += length;
            (key, self.rows.slice(start - length, *length))
        })
    }
}

/// Checks one chunk, whose rows are the ones that `refusals` is at. `written` are the batch's segments so far. Gives
/// none where some row was refused.
pub(crate) fn check(
    target: &Target<'_>,
    rows: &RecordBatch,
    written: &[Arc<Segment>],
    held: &mut BTreeSet<KeyValue>,
    refusals: &mut Refusals,
) -> Result<Option<Checked>, StoreError> {
    require_values(target, rows, refusals);
    if target.operation == Operation::Upsert {
        require_time(target, rows, refusals)?;
    }
    let entity = match target.operation {
        Operation::Upsert => entity(target, rows, held, refusals)?,
        Operation::Delete => None,
    };
    if !refusals.is_empty() {
        return Ok(None);
    }
    let rows = complete(target, rows, entity)?;
    let rows = if target.entry.spec.dataset.rows_may_move() { with_moves(target, &rows, written)? } else { rows };
    divide(&target.entry.spec.dataset, &rows).map(Some)
}

fn require_values(target: &Target<'_>, rows: &RecordBatch, refusals: &mut Refusals) {
    for (column, field) in rows.columns().iter().zip(rows.schema_ref().fields()) {
        if column.null_count() == 0 || !target.entry.requires(field.name()) {
            continue;
        }
        for row in (0..column.len()).filter(|row| column.is_null(*row)) {
            refusals.refuse(row, field.name(), || None, RefusalReason::Missing);
        }
    }
}

/// Refuses rows whose partition would be dropped at once.
fn require_time(target: &Target<'_>, rows: &RecordBatch, refusals: &mut Refusals) -> Result<(), StoreError> {
    let dataset = &target.entry.spec.dataset;
    let (Some(keep_days), Some(time)) = (dataset.lifecycle.keep_days, &dataset.partitioning.time) else {
        return Ok(());
    };
    let Some(oldest) = oldest_bucket(&dataset.partitioning, keep_days, target.now_ms) else { return Ok(()) };
    let days = single(rows, &time.column)?;
    for (row, day) in days.as_primitive::<Date32Type>().iter().enumerate() {
        if day.is_some_and(|day| day < oldest) {
            let value = || array_value_to_string(&days, row).ok();
            refusals.refuse(row, &time.column, value, RefusalReason::Expired { keep_days });
        }
    }
    Ok(())
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
            let parent = Parent {
                entry: target.catalog.entry(dataset)?,
                partitions: &target.snapshot.partitions(dataset)?,
                entity: target.entry.stored.field_with_name(ENTITY_COLUMN)?.data_type(),
            };
            parents::entities(column, &single(rows, column)?, &parent, refusals).map(Some)
        }
    }
}

/// The rows with all logged columns: what a delete does not say is missing.
fn complete(target: &Target<'_>, rows: &RecordBatch, entity: Option<ArrayRef>) -> Result<RecordBatch, StoreError> {
    let count = rows.num_rows();
    let op = if target.operation == Operation::Delete { OP_TOMBSTONE } else { OP_ROW };
    let column = |name: &str, kind| match name {
        OP_COLUMN => Arc::new(UInt8Array::from(vec![op; count])) as ArrayRef,
        ENTITY_COLUMN => entity.clone().unwrap_or_else(|| new_null_array(kind, count)),
        _ => rows.column_by_name(name).cloned().unwrap_or_else(|| new_null_array(kind, count)),
    };
    let columns = target.logged.fields().iter().map(|field| column(field.name(), field.data_type()));
    Ok(RecordBatch::try_new(Arc::clone(target.logged), columns.collect())?)
}

/// The rows, once a key, and a tombstone in the old partition for each that has its newest version in another one.
/// A delete becomes a tombstone where the row is, and nothing where there is none.
fn with_moves(target: &Target<'_>, rows: &RecordBatch, written: &[Arc<Segment>]) -> Result<RecordBatch, StoreError> {
    let dataset = &target.entry.spec.dataset;
    let rows = match rows::order(rows, &dataset.primary_key, Newest::Position)? {
        Some(order) => take_record_batch(rows, &order)?,
        None => rows.clone(),
    };
    let wanted: Vec<&str> =
        dataset.primary_key.iter().map(String::as_str).chain(dataset.partitioning.columns()).collect();
    let partitions = target.snapshot.partitions(&dataset.name)?;
    let sources = Sources { entry: target.entry, partitions: &partitions, written };
    let keys = columns_of(&rows, &dataset.primary_key)?;
    let found = lookup::newest(&sources, &keys, &dataset.primary_key, &wanted)?;
    let Some(old) = found.rows else {
        return Ok(if target.operation == Operation::Delete { rows.slice(0, 0) } else { rows });
    };
    let homes = |batch: &RecordBatch| -> Result<Vec<usize>, StoreError> {
        let mut homes = vec![0; batch.num_rows()];
        for (ordinal, (_, rows)) in partition::split(&dataset.partitioning, batch)?.iter().enumerate() {
            rows.values().iter().for_each(|row| homes[*row as usize] = ordinal);
        }
        Ok(homes)
    };
    // Old and new versions side by side, so that equal ordinals are equal partitions.
    let (both, old_start) = beside(&rows, &old, &wanted)?;
    let homes = homes(&both)?;
    let gone = |(row, at): (usize, &Option<u32>)| {
        let at = (*at)?;
        let moved = homes[row] != homes[old_start + at as usize];
        (moved || target.operation == Operation::Delete).then_some(at)
    };
    let gone: UInt32Array = found.at.iter().enumerate().filter_map(gone).collect::<Vec<_>>().into();
    let tombstones = Target { operation: Operation::Delete, ..*target };
    let tombstones = complete(&tombstones, &take_record_batch(&old, &gone)?, None)?;
    let kept = if target.operation == Operation::Delete { rows.slice(0, 0) } else { rows };
    Ok(concat_batches(target.logged, [&kept, &tombstones])?)
}

/// The wanted columns of `rows` and then of `old` in one batch, and where `old` starts.
fn beside(rows: &RecordBatch, old: &RecordBatch, wanted: &[&str]) -> Result<(RecordBatch, usize), StoreError> {
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for name in wanted {
        if columns.iter().any(|(known, _)| known == name) {
            continue;
        }
        let (new, old) = (single(rows, name)?, single(old, name)?);
        columns.push((name, concat(&[new.as_ref(), old.as_ref()])?));
    }
    Ok((
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)))?,
        rows.num_rows(),
    ))
}

/// Rows divided into partitions, and sorted.
pub(crate) fn divide(dataset: &Dataset, rows: &RecordBatch) -> Result<Checked, StoreError> {
    let mut order: Vec<u32> = Vec::with_capacity(rows.num_rows());
    let mut parts = Vec::new();
    let split = partition::split(&dataset.partitioning, rows)?;
    if let [(key, positions)] = split.as_slice()
        && !positions.is_empty()
    {
        let sorted = sorted(dataset, rows.clone())?;
        let parts = vec![(key.clone(), sorted.num_rows())];
        return Ok(Checked { rows: sorted, parts });
    }
    for (key, positions) in split {
        let start = order.len();
        order.extend_from_slice(positions.values());
        if !dataset.primary_key.is_empty() {
            let part = take_record_batch(rows, &positions)?;
            if let Some(sorted) = rows::order(&part, &dataset.primary_key, Newest::Position)? {
                order.truncate(start);
                order.extend(sorted.values().iter().map(|row| positions.value(*row as usize)));
            }
        }
        parts.push((key, order.len() - start));
    }
    Ok(Checked { rows: take_record_batch(rows, &UInt32Array::from(order))?, parts })
}

/// Rows as a record of the log has them: divided and sorted already, but not saying where each part ends.
pub(crate) fn divided_again(dataset: &Dataset, rows: RecordBatch) -> Result<Checked, StoreError> {
    let split = partition::split(&dataset.partitioning, &rows)?;
    let parts = split.into_iter().map(|(key, positions)| (key, positions.len())).filter(|(_, rows)| *rows > 0);
    Ok(Checked { parts: parts.collect(), rows })
}

fn sorted(dataset: &Dataset, rows: RecordBatch) -> Result<RecordBatch, StoreError> {
    if dataset.primary_key.is_empty() {
        return Ok(rows);
    }
    match rows::order(&rows, &dataset.primary_key, Newest::Position)? {
        Some(order) => Ok(take_record_batch(&rows, &order)?),
        None => Ok(rows),
    }
}

fn single(rows: &RecordBatch, name: &str) -> Result<ArrayRef, StoreError> {
    Ok(ArrayRef::clone(rows.column(rows.schema_ref().index_of(name)?)))
}
