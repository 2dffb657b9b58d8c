//! Sorted keys of a chunk, and the merge join of them with the keys of a segment.
//!
//! Both sides are sorted, so that a join reads a segment once, keeps one batch of it, and skips segments whose range
//! of keys lies apart.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_arrays};
use arrow::row::{RowConverter, Rows, SortField};

use crate::StoreError;
use crate::segment::Segment;

/// Key columns of a chunk, in ascending order.
pub(crate) struct SortedKeys {
    converter: RowConverter,
    rows: Rows,
    /// Row of the chunk at each position.
    order: UInt32Array,
}

/// A row of the chunk and a row of a segment's batch that have the same key.
pub(crate) struct Hit {
    pub(crate) chunk_row: u32,
    pub(crate) batch_row: u32,
}

impl SortedKeys {
    /// Sorts; rows of equal keys keep their order.
    pub(crate) fn new(columns: &[ArrayRef]) -> Result<Self, StoreError> {
        let rows = columns.first().map_or(0, |column| column.len());
        let position: ArrayRef = Arc::new(UInt32Array::from_iter_values((0..).take(rows)));
        let by = columns.iter().chain([&position]);
        let by: Vec<_> = by.map(|values| SortColumn { values: ArrayRef::clone(values), options: None }).collect();
        let order = lexsort_to_indices(&by, None)?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let rows = converter.convert_columns(&take_arrays(columns, &order, None)?)?;
        Ok(Self { converter, rows, order })
    }

    /// Row of the chunk at each position of the sorted order.
    pub(crate) fn order(&self) -> &UInt32Array {
        &self.order
    }

    /// The rows of the chunk whose key an earlier row has.
    pub(crate) fn repeated(&self) -> impl Iterator<Item = usize> {
        let again = |at: &usize| self.rows.row(*at) == self.rows.row(at - 1);
        (1..self.rows.num_rows()).filter(again).map(|at| self.order.value(at) as usize)
    }

    /// Calls `on_hits` for each batch of the segment that has keys of the chunk. `keys` are the segment's columns
    /// that correspond to the chunk's; `extra` is read beside them.
    pub(crate) fn join(
        &self,
        segment: &Segment,
        keys: &[&str],
        extra: Option<&str>,
        mut on_hits: impl FnMut(&RecordBatch, &[Hit]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !self.overlaps(segment, keys)? {
            return Ok(());
        }
        let columns: Vec<&str> = keys.iter().copied().chain(extra).collect();
        let mut at = 0;
        let mut hits = Vec::new();
        for batch in segment.read(&columns, None)? {
            let batch = batch?;
            let stored = self.converter.convert_columns(&key_columns(&batch, keys)?)?;
            self.merge(&stored, &mut at, &mut hits);
            if !hits.is_empty() {
                on_hits(&batch, &hits)?;
                hits.clear();
            }
            if at == self.rows.num_rows() {
                break;
            }
        }
        Ok(())
    }

    fn merge(&self, stored: &Rows, at: &mut usize, hits: &mut Vec<Hit>) {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let mut row = 0;
        while *at < self.rows.num_rows() && row < stored.num_rows() {
            match self.rows.row(*at).cmp(&stored.row(row)) {
                Less => *at += 1,
                Greater if stored.row(stored.num_rows() - 1) < self.rows.row(*at) => return,
                Greater => row += 1,
                Equal => {
                    hits.push(Hit { chunk_row: self.order.value(*at), batch_row: row as u32 });
                    *at += 1;
                }
            }
        }
    }

    fn overlaps(&self, segment: &Segment, keys: &[&str]) -> Result<bool, StoreError> {
        let (Some(last), Ok(rows)) = (self.rows.num_rows().checked_sub(1), usize::try_from(segment.rows)) else {
            return Ok(false);
        };
        let compare = |position: usize| -> Result<Option<Rows>, StoreError> {
            let Some(batch) = segment.read(keys, Some((position, 1)))?.next() else { return Ok(None) };
            Ok(Some(self.converter.convert_columns(&key_columns(&batch?, keys)?)?))
        };
        let (Some(low), Some(high)) = (compare(0)?, compare(rows.saturating_sub(1))?) else { return Ok(false) };
        Ok(low.row(0) <= self.rows.row(last) && self.rows.row(0) <= high.row(0))
    }
}

/// The named columns of a batch.
pub(crate) fn key_columns(batch: &RecordBatch, names: &[&str]) -> Result<Vec<ArrayRef>, StoreError> {
    let column = |name: &&str| Ok(ArrayRef::clone(batch.column(batch.schema_ref().index_of(name)?)));
    names.iter().map(column).collect()
}
