//! Recent rows: what the write-ahead log holds and no segment yet, in memory.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;

use crate::{Partition, StoreError, rows};

/// Batches of about one size that are put together into one, so that readers do not meet thousands.
const FAN_IN: usize = 16;

/// Rows from which on a batch stays as it is.
const LARGE_ROWS: usize = 8192;

/// Bytes that a batch's rows take in memory, without what they share with other batches.
pub(crate) fn bytes(batch: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
    batch.columns().iter().map(column).sum()
}

impl Partition {
    /// Adds a batch of new rows, and puts small batches together. Gives by how many bytes the recent rows grew.
    pub(crate) fn push(&mut self, batch: RecordBatch, stored: &SchemaRef, key: &[String]) -> Result<isize, StoreError> {
        let mut grown = bytes(&batch).cast_signed();
        self.recent.push(batch);
        while let Some(start) = self.mergeable() {
            let before: usize = self.recent[start..].iter().map(bytes).sum();
            let merged = rows::merged(&self.recent[start..], stored, key)?;
            grown += bytes(&merged).cast_signed() - before.cast_signed();
            self.recent.truncate(start);
            self.recent.push(merged);
        }
        Ok(grown)
    }

    /// Where the small batches of about one size start, once there are enough of them at the end.
    fn mergeable(&self) -> Option<usize> {
        let start = self.recent.len().checked_sub(FAN_IN).filter(|start| *start >= self.frozen)?;
        let size = |batch: &RecordBatch| batch.num_rows().max(1).ilog(FAN_IN);
        let last = size(self.recent.last()?);
        let alike = |batch: &RecordBatch| batch.num_rows() < LARGE_ROWS && size(batch) <= last;
        self.recent[start..].iter().all(alike).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn many_small_batches_become_few() -> Result<(), StoreError> {
        let mut partition = Partition::default();
        let mut grown = 0;
        for value in 0..5000 {
            let column: ArrayRef = Arc::new(Int64Array::from(vec![value]));
            let batch = RecordBatch::try_from_iter([("a", column)])?;
            grown += partition.push(batch.clone(), batch.schema_ref(), &[])?;
        }
        assert_eq!(partition.rows(), 5000);
        assert_eq!(grown, 5000 * 8);
        assert!(partition.recent.len() < 4 * FAN_IN, "{}", partition.recent.len());
        Ok(())
    }
}
