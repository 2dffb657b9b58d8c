//! The operator that reads segments and recent rows.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DataFusionResult, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::utils::{collect_columns, conjunction, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use domicile_types::DatasetName;
use futures::{StreamExt, TryStreamExt};

use super::newest::newest;
use super::output::Output;
use super::recent;
use super::scan::{Scan, file_groups, parquet};

/// Reads what a [`Scan`] names. A leaf: what happens inside depends on how the data lies, and is no business of the
/// planner or of whoever reads plans.
#[derive(Debug, Clone)]
pub(crate) struct SegmentsExec {
    scan: Arc<Scan>,
    schema: SchemaRef,
    /// Places of the columns of `schema` in segments.
    places: Vec<usize>,
    /// Reads the plain segments; the columns of `schema`.
    plain: Option<Arc<dyn ExecutionPlan>>,
    /// What the primary keys of wanted rows fulfil. Anything else may be true of an older version of a row only.
    key_filter: Option<Arc<dyn PhysicalExpr>>,
    /// Whether a filter skips some rows already.
    filtered: bool,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// A part of what one output partition gives.
#[derive(Debug, Clone, Copy)]
enum Part {
    Merged(usize),
    Recent(usize),
    Plain,
}

impl SegmentsExec {
    pub(crate) fn try_new(scan: Arc<Scan>, schema: SchemaRef, options: &ConfigOptions) -> DataFusionResult<Self> {
        let places = scan.layout.places(&schema)?;
        let target = options.execution.target_partitions.max(1);
        let plain: Option<Arc<dyn ExecutionPlan>> = match file_groups(&scan.layout, &scan.plain, target) {
            groups if groups.is_empty() => None,
            groups => Some(parquet(&scan.layout, places.clone(), groups, None, None, false, options)?),
        };
        let count = (scan.merged.len() + scan.recent.len()).min(target);
        let properties = Arc::new(properties(&schema, plain.as_ref(), count));
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { scan, schema, places, plain, key_filter: None, filtered: false, limit: None, properties, metrics })
    }

    /// The dataset that is read.
    pub(crate) fn dataset(&self) -> &DatasetName {
        &self.scan.dataset
    }

    /// The same, giving at most `limit` rows in each output partition.
    pub(crate) fn limited(&self, limit: Option<usize>) -> Self {
        let plain = self.plain.as_ref().map(|plain| plain.with_fetch(limit).unwrap_or_else(|| Arc::clone(plain)));
        Self { plain, limit, ..self.clone() }
    }

    fn with_plain(&self, plain: Arc<dyn ExecutionPlan>) -> Self {
        let properties = Arc::new(properties(&self.schema, Some(&plain), self.parts_count()));
        Self { plain: Some(plain), properties, ..self.clone() }
    }

    /// How many output partitions there are.
    fn parts_count(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    /// What one output partition reads. Groups follow each other, so that only few files are read at a time however
    /// many partitions a dataset has. Merges come first: while one thread merges, others can take its plain segments.
    fn parts(&self, partition: usize) -> Vec<Part> {
        let own = |length: usize| (partition..length).step_by(self.parts_count());
        let plain = self.plain.as_ref().map_or(0, |plain| plain.properties().partitioning.partition_count());
        let plain = (partition < plain).then_some(Part::Plain);
        let recent = own(self.scan.recent.len()).map(Part::Recent);
        own(self.scan.merged.len()).map(Part::Merged).chain(recent).chain(plain).collect()
    }

    fn open(
        &self,
        part: Part,
        partition: usize,
        context: &Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        match part {
            Part::Merged(group) => {
                newest(&self.scan.layout, &self.scan.merged[group], &self.places, self.key_filter.as_ref(), context)
            }
            Part::Recent(batch) => {
                let rows = self.scan.recent[batch].project(&self.places)?;
                Ok(recent::slices(rows, context.session_config().batch_size()))
            }
            Part::Plain => match &self.plain {
                Some(plain) => plain.execute(partition, Arc::clone(context)),
                None => datafusion::common::internal_err!("there are no plain segments"),
            },
        }
    }
}

fn properties(schema: &SchemaRef, plain: Option<&Arc<dyn ExecutionPlan>>, count: usize) -> PlanProperties {
    let plain = plain.map_or(0, |plain| plain.properties().partitioning.partition_count());
    let partitioning = Partitioning::UnknownPartitioning(plain.max(count).max(1));
    let equivalence = EquivalenceProperties::new(Arc::clone(schema));
    PlanProperties::new(equivalence, partitioning, EmissionType::Incremental, Boundedness::Bounded)
        .with_scheduling_type(SchedulingType::Cooperative)
}

impl DisplayAs for SegmentsExec {
    /// Counts only: names of partitions, values and statistics are resident data.
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scan = &self.scan;
        write!(f, "SegmentsExec: dataset={}, partitions={} of {}", scan.dataset, scan.partitions, scan.partitions_all)?;
        write!(f, ", segments={} plain + {} merged", scan.plain.len(), scan.merged_segments())?;
        write!(f, ", recent_rows={}", scan.recent_rows())?;
        self.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }
}

impl ExecutionPlan for SegmentsExec {
    fn name(&self) -> &'static str {
        "SegmentsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
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
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        if let Some(plain) = &self.plain
            && plain.apply_expressions(visit)? == TreeNodeRecursion::Stop
        {
            return Ok(TreeNodeRecursion::Stop);
        }
        self.key_filter.as_ref().map_or(Ok(TreeNodeRecursion::Continue), visit)
    }

    fn repartitioned(&self, target: usize, config: &ConfigOptions) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(plain) = &self.plain else { return Ok(None) };
        let divided = plain.repartitioned(target, config)?;
        Ok(divided.map(|plain| Arc::new(self.with_plain(plain)) as Arc<dyn ExecutionPlan>))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        let exec = self.clone();
        let parts = futures::stream::iter(self.parts(partition));
        let rows = parts.map(move |part| exec.open(part, partition, &context)).try_flatten();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        Ok(Box::pin(Output::new(Arc::clone(&self.schema), rows.boxed(), self.limit, metrics)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> DataFusionResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if args.partition().is_some() && self.parts_count() > 1 {
            return Ok(Arc::new(statistics));
        }
        let rows = usize::try_from(self.scan.segment_rows()).unwrap_or(usize::MAX);
        let rows = rows.saturating_add(self.scan.recent_rows());
        // Of rows to be merged nobody knows yet how many are live.
        let all_live = self.scan.merged.is_empty() && !self.filtered;
        for (column, field) in statistics.column_statistics.iter_mut().zip(self.schema.fields()) {
            if !field.is_nullable() {
                column.null_count = Precision::Exact(0);
            }
        }
        // Each output partition has the limit for itself.
        let most = self.limit.map_or(usize::MAX, |limit| limit.saturating_mul(self.parts_count()));
        let exact = all_live && self.limit.is_none_or(|limit| rows <= limit || self.parts_count() == 1);
        let rows = rows.min(most);
        statistics.num_rows = if exact { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        let width: usize = self.schema.fields().iter().map(|field| width(field.data_type())).sum();
        statistics.total_byte_size = Precision::Inexact(rows.saturating_mul(width));
        Ok(Arc::new(statistics))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(self.limited(limit)))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    /// Filters are used to skip what cannot pass them; they all have to be evaluated above as well.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> DataFusionResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let filters: Vec<_> = result.parent_filters.iter().map(|filter| Arc::clone(&filter.filter)).collect();
        let mut updated = Self { filtered: self.filtered || !filters.is_empty(), ..self.clone() };
        if let Some(plain) = &self.plain
            && let Some(plain) = plain.handle_child_pushdown_result(phase, result, config)?.updated_node
        {
            updated = updated.with_plain(plain);
        }
        let of_key = |filter: &&Arc<dyn PhysicalExpr>| {
            let columns = collect_columns(filter);
            !is_volatile(filter)
                && columns.iter().all(|column| self.scan.layout.key.iter().any(|key| key == column.name()))
        };
        let of_key = filters.iter().filter(of_key).cloned();
        let of_key = of_key.map(|filter| reassign_expr_columns(filter, &self.scan.layout.stored));
        let of_key = of_key.collect::<DataFusionResult<Vec<_>>>()?;
        if !of_key.is_empty() && !self.scan.merged.is_empty() {
            updated.key_filter = Some(conjunction(self.key_filter.iter().cloned().chain(of_key)));
        }
        let unsupported = FilterPushdownPropagation::with_parent_pushdown_result(vec![PushedDown::No; filters.len()]);
        Ok(unsupported.with_updated_node(Arc::new(updated)))
    }

    fn reset_state(self: Arc<Self>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let plain = self.plain.as_ref().map(|plain| Arc::clone(plain).reset_state()).transpose()?;
        Ok(Arc::new(Self { plain, metrics: ExecutionPlanMetricsSet::new(), ..self.as_ref().clone() }))
    }
}

/// Bytes of one value in memory, roughly.
fn width(kind: &DataType) -> usize {
    const TEXT_BYTES: usize = 24;
    kind.primitive_width().unwrap_or(TEXT_BYTES)
}
