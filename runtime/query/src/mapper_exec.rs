//! The operator that reads a mapper: a leaf that says which rows it sees.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use domicile_types::{DatasetName, PluginName};

/// What a mapper is given.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) mapper: PluginName,
    pub(crate) dataset: DatasetName,
    pub(crate) inputs: Vec<String>,
}

/// The output of a mapper as a table.
#[derive(Debug)]
pub(crate) struct MapperTable {
    pub(crate) given: Given,
    pub(crate) schema: SchemaRef,
    pub(crate) entities: Arc<dyn PartitionStream>,
}

#[async_trait]
impl TableProvider for MapperTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let (schema, entities) = (Arc::clone(&self.schema), vec![Arc::clone(&self.entities)]);
        let stream = StreamingTableExec::try_new(schema, entities, projection, [], false, limit)?;
        Ok(Arc::new(MapperExec { given: self.given.clone(), stream: Arc::new(stream) }))
    }
}

/// Reads the output of a mapper.
#[derive(Debug)]
pub(crate) struct MapperExec {
    given: Given,
    stream: Arc<StreamingTableExec>,
}

impl MapperExec {
    /// The dataset whose entities it maps.
    pub(crate) fn dataset(&self) -> &DatasetName {
        &self.given.dataset
    }

    /// The columns that the mapper is given.
    pub(crate) fn inputs(&self) -> &[String] {
        &self.given.inputs
    }
}

impl DisplayAs for MapperExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Given { mapper, dataset, inputs } = &self.given;
        write!(f, "MapperExec: mapper={mapper}, dataset={dataset}, inputs=[{}]", inputs.join(", "))
    }
}

impl ExecutionPlan for MapperExec {
    fn name(&self) -> &'static str {
        "MapperExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.stream.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        self.stream.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.stream.metrics()
    }
}
