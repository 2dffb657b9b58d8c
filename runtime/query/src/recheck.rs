//! The last look before a fragment runs whose result crosses a border: is the plan that will run what was admitted?
//!
//! Admission judges the logical plan. Between it and execution stand binding, the guard, and the engine's optimizers,
//! whose rules may come to read more. So the physical plan is walked once more: each leaf has to be one of this crate's
//! own scans, of a dataset that the admission names, reading columns that the facts name (beside the entity and the version
//! of rows, which the guard counts and compares, and the keys that datasets are joined on). Each operator has to be of a kind that works on its inputs
//! and nothing else. What is not known here is refused.
//!
//! Dynamic filters and the keys of semi-joins are flows too: they go from one side of a join to the scans of the other.
//! They stay within the region because both sides do: no operator of those listed here sends anything to another
//! process, and no fragment has a part that another region computes, so nothing but the fragment's own result leaves.
//! What can be checked is checked: expressions that a scan was given use no column that it may not read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::partial_sort::PartialSortExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::{InterleaveExec, UnionExec};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use domicile_store::{ENTITY_COLUMN, SEQ_COLUMN};
use domicile_types::DatasetName;

use crate::QueryError;
use crate::admit::AdmittedFragment;
use crate::catalog::{Relation, relation};
use crate::fragment::Shape;
use crate::mapper_exec::MapperExec;
use crate::segments::SegmentsExec;

/// What of a dataset an admitted fragment may read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Readable {
    /// Reference data: every column.
    Any,
    /// These columns.
    Columns(BTreeSet<String>),
}

/// What an admitted fragment may do.
#[derive(Debug, Clone)]
pub(crate) struct Recheck {
    datasets: BTreeMap<DatasetName, Readable>,
    /// Whether its text has rows of its own, behind `VALUES`.
    values: bool,
}

impl Recheck {
    /// What `admitted` may do; none where its result stays, so that nothing is to be checked.
    ///
    /// # Errors
    /// Where the fragment reads something that is no table.
    pub(crate) fn of(admitted: &AdmittedFragment) -> Result<Option<Arc<Self>>, QueryError> {
        if admitted.verdict.is_none() {
            return Ok(None);
        }
        let fragment = &admitted.fragment;
        let mut check = Self { datasets: BTreeMap::new(), values: false };
        for dataset in &fragment.facts.datasets {
            let columns = BTreeSet::from([ENTITY_COLUMN, SEQ_COLUMN].map(str::to_owned));
            check.datasets.insert(dataset.clone(), Readable::Columns(columns));
        }
        let facts = &fragment.facts;
        let named = facts.outputs.iter().chain(&facts.group_by).chain(&facts.measures).chain(&facts.filters);
        for column in named.chain(&fragment.joined) {
            if let Some(Readable::Columns(columns)) = check.datasets.get_mut(&column.dataset) {
                columns.insert(column.column.clone());
            }
        }
        let (Shape::Groups { input: plan, .. } | Shape::Rows(plan)) = &fragment.shape;
        check.reference_data(plan)?;
        Ok(Some(Arc::new(check)))
    }

    /// Notes the reference data that the plan reads.
    fn reference_data(&mut self, plan: &LogicalPlan) -> Result<(), QueryError> {
        plan.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::TableScan(scan) => {
                    if let Relation::Reference { dataset } = relation(scan).map_err(external)? {
                        self.datasets.insert(dataset, Readable::Any);
                    }
                }
                LogicalPlan::Values(_) => self.values = true,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    /// Walks the plan that will run.
    ///
    /// # Errors
    /// Where it does anything that was not admitted. What that is, only the log says.
    pub(crate) fn check(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<(), QueryError> {
        let mut refused = None;
        plan.apply(|node| {
            refused = self.node(node.as_ref())?;
            Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        match refused {
            None => Ok(()),
            Some(Refused { operator, why }) => {
                tracing::error!(operator, why, "a plan does more than was admitted, and was not run");
                Err(QueryError::PlanRefused)
            }
        }
    }

    fn node(&self, node: &dyn ExecutionPlan) -> DataFusionResult<Option<Refused>> {
        let operator = node.name().to_owned();
        if let Some(scan) = node.downcast_ref::<SegmentsExec>() {
            return Ok(self.scan(scan)?.map(|why| Refused { operator, why }));
        }
        if let Some(mapper) = node.downcast_ref::<MapperExec>() {
            let read = mapper.inputs().iter().map(String::as_str);
            return Ok(self.reads(mapper.dataset(), read).map(|why| Refused { operator, why }));
        }
        let inside = if node.children().is_empty() { self.is_constant(node) } else { stays_inside(node) };
        Ok((!inside).then(|| Refused { operator, why: "this kind of operator is not known here".to_owned() }))
    }

    /// Why the scan may not be run, if it may not.
    fn scan(&self, scan: &SegmentsExec) -> DataFusionResult<Option<String>> {
        let mut used: BTreeSet<String> = scan.schema().fields().iter().map(|field| field.name().clone()).collect();
        scan.apply_expressions(&mut |expression| {
            used.extend(collect_columns(expression).iter().map(|column| column.name().to_owned()));
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(self.reads(scan.dataset(), used.iter().map(String::as_str)))
    }

    /// Why these columns may not be read, if they may not.
    fn reads<'c>(&self, dataset: &DatasetName, mut columns: impl Iterator<Item = &'c str>) -> Option<String> {
        match self.datasets.get(dataset) {
            None => Some(format!("it reads {dataset}")),
            Some(Readable::Any) => None,
            Some(Readable::Columns(readable)) => {
                let beyond = columns.find(|column| !readable.contains(*column))?;
                Some(format!("it reads {dataset}.{beyond}"))
            }
        }
    }

    /// Whether a leaf gives nothing but what stands in the text.
    fn is_constant(&self, leaf: &dyn ExecutionPlan) -> bool {
        let source = leaf.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
        let in_text = source.is_some_and(|source| source.downcast_ref::<MemorySourceConfig>().is_some());
        leaf.is::<EmptyExec>() || leaf.is::<PlaceholderRowExec>() || (self.values && in_text)
    }
}

/// What is refused, for the log.
struct Refused {
    operator: String,
    why: String,
}

fn external(error: QueryError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Whether an operator is of a kind that makes its output of its inputs, in this process.
fn stays_inside(node: &dyn ExecutionPlan) -> bool {
    node.is::<AggregateExec>()
        || node.is::<BoundedWindowAggExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<CooperativeExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<FilterExec>()
        || node.is::<GlobalLimitExec>()
        || node.is::<HashJoinExec>()
        || node.is::<InterleaveExec>()
        || node.is::<LocalLimitExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<PartialSortExec>()
        || node.is::<ProjectionExec>()
        || node.is::<RepartitionExec>()
        || node.is::<ScalarSubqueryExec>()
        || node.is::<SortExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<SortPreservingMergeExec>()
        || node.is::<UnionExec>()
        || node.is::<WindowAggExec>()
}
