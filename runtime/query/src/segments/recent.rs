//! Recent rows: batches in memory, sorted where they are to be merged.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use datafusion::common::Result as DataFusionResult;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

/// Batches that are merged as they are.
const RUNS_MAX: usize = 8;

/// The rows in batches of at most `batch_rows`.
pub(crate) fn slices(rows: RecordBatch, batch_rows: usize) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let starts = (0..rows.num_rows()).step_by(batch_rows.max(1));
    let slices = starts.map(move |start| Ok(rows.slice(start, batch_rows.min(rows.num_rows() - start))));
    make_cooperative(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(slices))))
}

/// `batches`, each sorted by `order`, as streams that are sorted by it. Many small ones become one: merging costs more
/// with every stream. `reservation` grows by what that takes, and has to live as long as the streams.
pub(crate) fn sorted(
    batches: &[RecordBatch],
    order: &LexOrdering,
    reservation: &MemoryReservation,
    context: &TaskContext,
) -> DataFusionResult<Vec<SendableRecordBatchStream>> {
    let batch_rows = context.session_config().batch_size();
    if batches.len() <= RUNS_MAX {
        return Ok(batches.iter().map(|batch| slices(batch.clone(), batch_rows)).collect());
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
    reservation.try_grow(bytes + rows * size_of::<u32>())?;
    let all = concat_batches(&batches[0].schema(), batches)?;
    let mut columns = Vec::with_capacity(order.len());
    for sort in order {
        let values = sort.expr.evaluate(&all)?.into_array(all.num_rows())?;
        columns.push(SortColumn { values, options: Some(sort.options) });
    }
    let indices = lexsort_to_indices(&columns, None)?;
    let schema = all.schema();
    let starts = (0..rows).step_by(batch_rows.max(1));
    let batch = move |start: usize| {
        let indices: UInt32Array = indices.slice(start, batch_rows.min(rows - start));
        Ok(take_record_batch(&all, &indices)?)
    };
    let stream = futures::stream::iter(starts.map(batch));
    Ok(vec![make_cooperative(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))])
}
