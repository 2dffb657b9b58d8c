//! Finding the newest versions of rows by key, over everything that is stored.
//!
//! Both sides are sorted, so that a source is read once, one batch at a time, and sources whose keys lie apart are
//! skipped.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, make_comparator};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_arrays, take_record_batch};
use arrow::datatypes::UInt8Type;
use arrow::row::{RowConverter, Rows, SortField};

use crate::bounds::Bounds;
use crate::catalog::Entry;
use crate::rows::{columns_of, comparable};
use crate::segment::SegmentReader;
use crate::version::{OP_COLUMN, OP_TOMBSTONE, VERSION_COLUMNS};
use crate::{Partition, Segment, StoreError};

/// The newest versions of the rows that were looked for.
pub(crate) struct Found {
    /// The wanted columns of what was found; none where nothing was.
    pub(crate) rows: Option<RecordBatch>,
    /// Row of `rows` for each key; none where there is no such row, or it was deleted.
    pub(crate) at: Vec<Option<u32>>,
}

/// Where to look: stored partitions, and segments that a load has written and not committed.
pub(crate) struct Sources<'a> {
    /// The dataset.
    pub(crate) entry: &'a Entry,
    pub(crate) partitions: &'a [Arc<Partition>],
    pub(crate) written: &'a [Arc<Segment>],
}

/// Looks for rows whose columns `names` are `keys`, and gives their columns `wanted`.
pub(crate) fn newest(
    sources: &Sources<'_>,
    keys: &[ArrayRef],
    names: &[String],
    wanted: &[&str],
) -> Result<Found, StoreError> {
    versions(sources, keys, names, wanted)?.into_rows()
}

/// Looks for the newest versions of rows whose columns `names` are `keys`, deletions included, and gives their columns
/// `wanted` and [`OP_COLUMN`].
pub(crate) fn versions(
    sources: &Sources<'_>,
    keys: &[ArrayRef],
    names: &[String],
    wanted: &[&str],
) -> Result<Found, StoreError> {
    let keys = SortedKeys::new(keys, names)?;
    let read: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .chain(wanted.iter().copied())
        .chain(VERSION_COLUMNS)
        .chain([OP_COLUMN])
        .collect();
    let mut hits = Hits::default();
    let stored = sources.partitions.iter().flat_map(|partition| &partition.segments);
    for segment in stored.chain(sources.written) {
        if !keys.within(segment.entry.bounds.as_ref()) {
            continue;
        }
        let mut at = 0;
        for batch in SegmentReader::open(segment, sources.entry, Some(&read))? {
            keys.merge(&batch?, &mut at, &mut hits)?;
            if at == keys.rows.num_rows() {
                break;
            }
        }
    }
    for batch in sources.partitions.iter().flat_map(|partition| &partition.recent) {
        let bounds = names.first().and_then(|name| Bounds::of_sorted(batch, name));
        if keys.within(bounds.as_ref()) {
            keys.merge(&batch.project(&positions(batch, &read)?)?, &mut 0, &mut hits)?;
        }
    }
    hits.newest(keys.rows.num_rows(), wanted)
}

fn positions(batch: &RecordBatch, names: &[&str]) -> Result<Vec<usize>, StoreError> {
    let mut positions = names.iter().map(|name| batch.schema_ref().index_of(name)).collect::<Result<Vec<_>, _>>()?;
    positions.sort_unstable();
    positions.dedup();
    Ok(positions)
}

/// Keys in ascending order.
struct SortedKeys<'a> {
    names: &'a [String],
    converter: RowConverter,
    columns: Vec<ArrayRef>,
    /// The same, comparable.
    rows: Rows,
    /// Position among the keys as given, for each in order.
    order: UInt32Array,
    bounds: Option<Bounds>,
}

impl<'a> SortedKeys<'a> {
    fn new(columns: &[ArrayRef], names: &'a [String]) -> Result<Self, StoreError> {
        let by: Vec<_> =
            columns.iter().map(|values| SortColumn { values: ArrayRef::clone(values), options: None }).collect();
        let order = lexsort_to_indices(&by, None)?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let sorted = take_arrays(columns, &order, None)?;
        let named = names.iter().cloned().zip(sorted.iter().cloned()).take(1);
        let bounds = names.first().and_then(|name| Bounds::of_sorted(&RecordBatch::try_from_iter(named).ok()?, name));
        let rows = converter.convert_columns(&sorted)?;
        Ok(Self { names, columns: sorted, rows, converter, order, bounds })
    }

    /// Whether some key may be within these bounds.
    fn within(&self, bounds: Option<&Bounds>) -> bool {
        let (Some(own), Some(other)) = (&self.bounds, bounds) else { return self.rows.num_rows() > 0 };
        !own.ends_before(other) && !other.ends_before(own)
    }

    /// The rows of a sorted batch between the key `from` and the last one: a few keys may be looked for among many rows.
    fn near(&self, batch: &RecordBatch, from: usize) -> Result<RecordBatch, StoreError> {
        let Some(last) = self.rows.num_rows().checked_sub(1).filter(|last| from <= *last) else {
            return Ok(batch.slice(0, 0));
        };
        let stored = columns_of(batch, self.names)?;
        let compare = stored.iter().zip(&self.columns).map(|(stored, keys)| {
            // The order that the rows are in.
            make_comparator(stored, keys, SortOptions::default())
        });
        let compare = compare.collect::<Result<Vec<_>, _>>()?;
        let order = |row: usize, key: usize| {
            compare.iter().map(|compare| compare(row, key)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        };
        let first = first_row(0..batch.num_rows(), |row| order(row, from).is_ge());
        let end = first_row(first..batch.num_rows(), |row| order(row, last).is_gt());
        Ok(batch.slice(first, end - first))
    }

    /// Notes the rows of a sorted batch whose keys are looked for. `from` is the first key that can still be met.
    fn merge(&self, batch: &RecordBatch, from: &mut usize, hits: &mut Hits) -> Result<(), StoreError> {
        use Ordering::{Equal, Greater, Less};
        let batch = &self.near(batch, *from)?;
        let stored = self.converter.convert_columns(&columns_of(batch, self.names)?)?;
        let (mut found, mut keys) = (Vec::new(), Vec::new());
        let (mut at, mut row) = (*from, 0);
        while at < self.rows.num_rows() && row < stored.num_rows() {
            match self.rows.row(at).cmp(&stored.row(row)) {
                Less => at += 1,
                Greater if stored.row(stored.num_rows() - 1) < self.rows.row(at) => break,
                Greater => row += 1,
                Equal => {
                    found.push(row as u32);
                    keys.push(self.order.value(at));
                    at += 1;
                }
            }
        }
        *from = at;
        if !found.is_empty() {
            hits.batches.push(take_record_batch(batch, &UInt32Array::from(found))?);
            hits.keys.extend(keys);
        }
        Ok(())
    }
}

/// The first of these rows that is so; those behind it are, too. The end where none is.
fn first_row(rows: Range<usize>, is_so: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = rows;
    while start < end {
        let middle = start + (end - start) / 2;
        if is_so(middle) { end = middle } else { start = middle + 1 }
    }
    start
}

/// What orders versions of a row that lie in different partitions. A batch that moves a row writes it and, in its old
/// partition, a tombstone, at one moment: the row counts, whichever has the greater number.
fn across_partitions(rows: &RecordBatch) -> Result<Vec<ArrayRef>, StoreError> {
    let [hlc, origin, epoch, seq] = VERSION_COLUMNS;
    let mut columns = columns_of(rows, &[hlc, origin, epoch, OP_COLUMN, seq])?;
    let ops = columns[3].as_primitive::<UInt8Type>();
    columns[3] = Arc::new(BooleanArray::from_unary(ops, |op| op != OP_TOMBSTONE));
    Ok(columns)
}

/// Stored versions of the rows that are looked for.
#[derive(Default)]
struct Hits {
    batches: Vec<RecordBatch>,
    /// The key that each row has.
    keys: Vec<u32>,
}

impl Hits {
    fn newest(self, keys: usize, wanted: &[&str]) -> Result<Found, StoreError> {
        let mut at: Vec<Option<u32>> = vec![None; keys];
        let Some(first) = self.batches.first() else { return Ok(Found { rows: None, at }) };
        let rows = concat_batches(first.schema_ref(), &self.batches)?;
        let versions = comparable(&across_partitions(&rows)?)?;
        for (row, key) in self.keys.iter().enumerate() {
            let best = &mut at[*key as usize];
            if best.is_none_or(|best| versions.row(best as usize) < versions.row(row)) {
                *best = Some(row as u32);
            }
        }
        let wanted = wanted.iter().filter(|name| **name != OP_COLUMN).chain([&OP_COLUMN]);
        let wanted = wanted.map(|name| rows.schema_ref().index_of(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Found { rows: Some(rows.project(&wanted)?), at })
    }
}

impl Found {
    /// What was found without deletions, and without the column that says what is one.
    fn into_rows(mut self) -> Result<Self, StoreError> {
        let Some(rows) = &self.rows else { return Ok(self) };
        let ops = rows.column(rows.num_columns() - 1).as_primitive::<UInt8Type>();
        for found in &mut self.at {
            *found = found.filter(|row| ops.value(*row as usize) != OP_TOMBSTONE);
        }
        let columns: Vec<usize> = (0..rows.num_columns() - 1).collect();
        self.rows = Some(rows.project(&columns)?);
        Ok(self)
    }
}
