//! The end of a scan: rows under the declared schema, no more than the limit.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::RecordBatchStream;
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::Stream;
use futures::stream::BoxStream;

/// Rows of a scan.
pub(crate) struct Output {
    schema: SchemaRef,
    rows: BoxStream<'static, DataFusionResult<RecordBatch>>,
    left: usize,
    metrics: BaselineMetrics,
}

impl Output {
    pub(crate) fn new(
        schema: SchemaRef,
        rows: BoxStream<'static, DataFusionResult<RecordBatch>>,
        limit: Option<usize>,
        metrics: BaselineMetrics,
    ) -> Self {
        Self { schema, rows, left: limit.unwrap_or(usize::MAX), metrics }
    }

    /// The batch as declared. Segments may have columns that may be empty where the declaration says otherwise, for
    /// the sake of tombstones; a live row that uses it is damage.
    fn conform(&mut self, batch: &RecordBatch) -> DataFusionResult<RecordBatch> {
        let batch = if batch.num_rows() > self.left { &batch.slice(0, self.left) } else { batch };
        self.left -= batch.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), batch.columns().to_vec(), &options)
            .map_err(DataFusionError::from)
    }
}

impl Stream for Output {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let next = ready!(this.rows.as_mut().poll_next(context));
        let next = next.map(|batch| batch.and_then(|batch| this.conform(&batch)));
        this.metrics.record_poll(Poll::Ready(next))
    }
}

impl RecordBatchStream for Output {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
