//! One dataset of one snapshot as a table: partitions pruned by their keys, segments that share no keys read plainly,
//! others merged so that the newest version of each row is read.

mod exec;
mod newest;
mod output;
mod prune;
mod reader;
mod recent;
mod scan;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use domicile_store::{DatasetSpec, Partition, Snapshot};

pub(crate) use exec::SegmentsExec;
use scan::{Layout, Scan};

/// The live rows of a dataset.
#[derive(Debug)]
pub(crate) struct SegmentsTable {
    schema: SchemaRef,
    layout: Layout,
    partitions: Vec<Arc<Partition>>,
    spec: DatasetSpec,
    /// Keeps the files of the partitions.
    snapshot: Arc<Snapshot>,
}

impl SegmentsTable {
    /// The rows of `partitions`, which are those of the dataset in `snapshot`. Only the columns of `schema` are seen:
    /// a part of `stored`, the columns of segments and what [`Segment::shape`](domicile_store::Segment::shape) is of those
    /// that have them all.
    pub(crate) fn new(
        spec: &DatasetSpec,
        schema: SchemaRef,
        stored: (SchemaRef, u32),
        snapshot: Arc<Snapshot>,
        partitions: Vec<Arc<Partition>>,
    ) -> DataFusionResult<Self> {
        let layout = Layout::new(stored, &spec.dataset.primary_key)?;
        Ok(Self { schema, layout, partitions, spec: spec.clone(), snapshot })
    }
}

#[async_trait]
impl TableProvider for SegmentsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let partitioning = &self.spec.dataset.partitioning;
        let kept = prune::prune(&self.partitions, partitioning, &self.schema, filters, session)?;
        let scan = Scan::new(
            self.spec.dataset.name.clone(),
            self.layout.clone(),
            Arc::clone(&self.snapshot),
            &kept,
            self.partitions.len(),
        );
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let exec = SegmentsExec::try_new(Arc::new(scan), schema, session.config_options())?;
        // Rows that a filter above will drop do not count towards a limit.
        Ok(Arc::new(exec.limited(limit.filter(|_| filters.is_empty()))))
    }
}
