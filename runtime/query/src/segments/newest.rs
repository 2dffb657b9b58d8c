//! Merging: of all versions of a row, the newest; of rows whose newest version is a tombstone, nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt8Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::cmp::{distinct, eq};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result as DataFusionResult;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use domicile_store::{OP_COLUMN, OP_ROW, ReadGroup, rows_at_a_time};
use futures::{Stream, StreamExt};

use super::recent;
use super::scan::{Layout, file_groups, parquet};

/// The live rows of one group, with the columns at `places`. `key_filter` looks at keys only.
pub(crate) fn newest(
    layout: &Layout,
    group: &ReadGroup,
    places: &[usize],
    key_filter: Option<&Arc<dyn PhysicalExpr>>,
    context: &Arc<TaskContext>,
) -> DataFusionResult<SendableRecordBatchStream> {
    let read = layout.merged(places);
    let schema = Arc::new(layout.stored.project(&read)?);
    let order = layout.order(&schema)?;
    let pool = context.memory_pool();
    let held = MemoryConsumer::new("recent rows").register(pool);
    let recent = group.recent.iter().map(|batch| Ok(batch.project(&read)?)).collect::<DataFusionResult<Vec<_>>>()?;
    let batch_rows = rows_at_a_time(&group.segments).min(context.session_config().batch_size());
    let mut sources = recent::sorted(&recent, &order, &held, context)?;
    if !group.segments.is_empty() {
        let files = file_groups(layout, &group.segments, group.segments.len());
        let options = context.session_config().options();
        let segments = parquet(layout, read.clone(), files, Some(batch_rows), key_filter, true, options)?;
        for source in 0..group.segments.len() {
            let rows = segments.execute(source, Arc::clone(context))?;
            sources.push(spawn_buffered(rows, 1));
        }
    }
    let merged = match (sources.pop(), sources.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            sources.extend(last);
            let reservation = MemoryConsumer::new("merged versions").register(pool);
            merge(sources, &schema, &order, batch_rows, reservation)?
        }
    };
    Ok(Box::pin(Newest::new(layout, merged, &schema, &read, places, held)?))
}

fn merge(
    sources: Vec<SendableRecordBatchStream>,
    schema: &SchemaRef,
    order: &LexOrdering,
    batch_rows: usize,
    reservation: MemoryReservation,
) -> DataFusionResult<SendableRecordBatchStream> {
    StreamingMergeBuilder::new()
        .with_streams(sources)
        .with_schema(Arc::clone(schema))
        .with_expressions(order)
        .with_metrics(BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0))
        .with_batch_size(batch_rows)
        .with_reservation(reservation)
        // No two versions are equal, so there are no ties to break.
        .with_round_robin_tie_breaker(false)
        .build()
}

/// Keeps the first of the rows with one key, if it is a row.
struct Newest {
    merged: SendableRecordBatchStream,
    schema: SchemaRef,
    key: Vec<usize>,
    operation: usize,
    output: Vec<usize>,
    /// Key of the last row seen: versions of one row may lie in several batches.
    last: Vec<ArrayRef>,
    _held: MemoryReservation,
}

impl Newest {
    fn new(
        layout: &Layout,
        merged: SendableRecordBatchStream,
        schema: &Schema,
        read: &[usize],
        places: &[usize],
        held: MemoryReservation,
    ) -> DataFusionResult<Self> {
        let key = layout.key.iter().map(|name| Ok(schema.index_of(name)?)).collect::<DataFusionResult<_>>()?;
        let output: Vec<usize> = places.iter().filter_map(|place| read.binary_search(place).ok()).collect();
        let operation = schema.index_of(OP_COLUMN)?;
        let schema = Arc::new(schema.project(&output)?);
        Ok(Self { merged, schema, key, operation, output, last: Vec::new(), _held: held })
    }

    fn live(&mut self, batch: &RecordBatch) -> DataFusionResult<RecordBatch> {
        let rows = eq(batch.column(self.operation), &UInt8Array::new_scalar(OP_ROW))?;
        let live = BooleanArray::new(&self.starts(batch)? & rows.values(), None);
        Ok(filter_record_batch(&batch.project(&self.output)?, &live)?)
    }

    /// Whether each row is the first with its key.
    fn starts(&mut self, batch: &RecordBatch) -> DataFusionResult<BooleanBuffer> {
        let rows = batch.num_rows();
        let key: Vec<&ArrayRef> = self.key.iter().map(|column| batch.column(*column)).collect();
        let mut first = self.last.is_empty();
        let mut later = BooleanBuffer::new_unset(rows - 1);
        for (index, column) in key.iter().enumerate() {
            if let Some(last) = self.last.get(index) {
                first |= distinct(last, &column.slice(0, 1))?.value(0);
            }
            later = &later | distinct(&column.slice(0, rows - 1), &column.slice(1, rows - 1))?.values();
        }
        self.last = key.iter().map(|column| column.slice(rows - 1, 1)).collect();
        Ok(std::iter::once(first).chain(&later).collect())
    }
}

impl Stream for Newest {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let batch = match ready!(self.merged.poll_next_unpin(context)) {
                Some(Ok(batch)) if batch.num_rows() == 0 => continue,
                Some(Ok(batch)) => batch,
                other => return Poll::Ready(other),
            };
            match self.live(&batch) {
                Ok(live) if live.num_rows() == 0 => {}
                live => return Poll::Ready(Some(live)),
            }
        }
    }
}

impl RecordBatchStream for Newest {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
