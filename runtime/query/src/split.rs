//! One plan over the world into fragments for the regions and the rest that merges them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, Result as DataFusionResult, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, cast, col};
use datafusion::sql::unparser::plan_to_sql;

use domicile_types::DatasetName;

use crate::QueryError;
use crate::catalog::{Catalog, PlannedTable, Relation, relation};
use crate::fragment::Fragment;

mod branches;
mod finish;
mod gather;
mod grouped;
mod recipe;

pub(crate) use recipe::Conditions;

/// A fragment as text, with what its answer looks like.
#[derive(Debug)]
pub(crate) struct FragmentText {
    pub(crate) fragment: Fragment,
    pub(crate) sql: String,
    /// Columns of the answer, all nullable.
    pub(crate) schema: SchemaRef,
}

/// A plan taken apart.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) fragments: Vec<FragmentText>,
    /// The plan with each fragment replaced by its partial results.
    pub(crate) rest: LogicalPlan,
}

/// The datasets with a home that the plan reads, subqueries included.
pub(crate) fn resident_datasets(plan: &LogicalPlan) -> Result<BTreeSet<DatasetName>, QueryError> {
    let mut found = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match relation(scan).map_err(|e| DataFusionError::External(Box::new(e)))? {
                Relation::Resident { dataset } | Relation::Mapper { dataset, .. } => {
                    found.insert(dataset);
                }
                Relation::Reference { .. } | Relation::Partial { .. } => {}
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether the plan reads rows with a home, subqueries included.
pub(crate) fn has_resident(plan: &LogicalPlan) -> Result<bool, QueryError> {
    Ok(!resident_datasets(plan)?.is_empty())
}

/// Takes `plan` apart.
///
/// # Errors
/// Where a part can neither be computed by each region alone nor merged.
pub(crate) fn split(plan: LogicalPlan, catalog: &Catalog, conditions: Conditions) -> Result<Split, QueryError> {
    let mut splitter = Splitter { catalog, conditions, fragments: Vec::new(), failed: None };
    let rest = plan.transform_down_with_subqueries(|node| splitter.node(node));
    if let Some(error) = splitter.failed {
        return Err(error);
    }
    let rest = rest?.data;
    if has_resident(&rest)? {
        return Err(QueryError::AcrossRegions {
            what: "a subquery over resident data inside an expression".to_owned(),
        });
    }
    Ok(Split { fragments: splitter.fragments, rest })
}

struct Splitter<'p> {
    catalog: &'p Catalog,
    conditions: Conditions,
    fragments: Vec<FragmentText>,
    failed: Option<QueryError>,
}

impl Splitter<'_> {
    fn node(&mut self, node: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
        self.replace(node).map_err(|error| {
            self.failed = Some(error);
            DataFusionError::Plan("the plan cannot be split".to_owned())
        })
    }

    /// The replacement of a node that is a fragment, or the node itself to look further down.
    fn replace(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>, QueryError> {
        let inside = |node: LogicalPlan| Transformed::new(node, false, TreeNodeRecursion::Jump);
        if !has_resident(&node)? {
            return Ok(inside(node));
        }
        // Only its subqueries have a home.
        if !node.inputs().is_empty() && !inputs_resident(&node)? {
            return Ok(Transformed::no(node));
        }
        match &node {
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
                self.aggregate(&Aggregate::try_new(Arc::clone(input), columns, Vec::new())?)
            }
            LogicalPlan::Aggregate(aggregate) => match self.aggregate(aggregate) {
                Err(QueryError::AcrossRegions { .. }) if aggregate_below(&aggregate.input)?.is_some() => {
                    Ok(Transformed::no(node))
                }
                done => done,
            },
            LogicalPlan::TableScan(scan) => match relation(scan)? {
                Relation::Resident { .. } | Relation::Mapper { .. } => self.rows(&node),
                Relation::Reference { .. } | Relation::Partial { .. } => Ok(inside(node)),
            },
            _ => match self.rows(&node) {
                Err(QueryError::AcrossRegions { .. }) => Ok(Transformed::no(node)),
                done => done,
            },
        }
    }

    fn rows(&mut self, plan: &LogicalPlan) -> Result<Transformed<LogicalPlan>, QueryError> {
        let fragment = Fragment::of_rows(plan, self.catalog)?;
        let names = numbered(plan, |index| format!("r{index}"));
        let partial = self.push(fragment, plan, names)?;
        let restored = plan.schema().iter().enumerate().map(|(index, (qualifier, field))| {
            restore(partial.column(&format!("r{index}")), field.data_type(), qualifier, field.name())
        });
        let restored: Vec<Expr> = restored.collect();
        let plan = partial.scan.project(restored)?.build()?;
        Ok(Transformed::new(plan, true, TreeNodeRecursion::Jump))
    }

    /// Notes a fragment whose text is `plan` under new column names, and returns its partial results as a table.
    fn push(&mut self, fragment: Fragment, plan: &LogicalPlan, names: Vec<Expr>) -> Result<Partial, QueryError> {
        let text_plan = LogicalPlanBuilder::from(plan.clone()).project(names)?.build()?;
        let sql = plan_to_sql(&text_plan)?.to_string();
        let fields = text_plan.schema().fields().iter();
        let fields: Vec<Field> =
            fields.map(|field| Field::new(field.name(), field.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let index = self.fragments.len();
        self.fragments.push(FragmentText { fragment, sql, schema: Arc::clone(&schema) });
        let table = partial_name(index);
        let source = PlannedTable { relation: Relation::Partial { fragment: index }, schema };
        let scan = LogicalPlanBuilder::scan(table.clone(), provider_as_source(Arc::new(source)), None)?;
        Ok(Partial { scan, table })
    }
}

struct Partial {
    scan: LogicalPlanBuilder,
    table: String,
}

impl Partial {
    fn column(&self, name: &str) -> Expr {
        col(Column::new(Some(self.table.as_str()), name))
    }
}

/// The name under which the rest of a plan reads a fragment's partial results.
pub(crate) fn partial_name(index: usize) -> String {
    format!("_partial_{index}")
}

fn inputs_resident(node: &LogicalPlan) -> Result<bool, QueryError> {
    node.inputs().into_iter().try_fold(false, |found, input| Ok(found || has_resident(input)?))
}

/// The topmost aggregate of a plan, if it has any.
pub(crate) fn aggregate_below(plan: &LogicalPlan) -> Result<Option<LogicalPlan>, QueryError> {
    let mut found = None;
    plan.apply(|node| {
        if matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_)) {
            found = Some(node.clone());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn numbered(plan: &LogicalPlan, name: impl Fn(usize) -> String) -> Vec<Expr> {
    plan.schema().columns().into_iter().enumerate().map(|(index, column)| col(column).alias(name(index))).collect()
}

fn dedup(exprs: &[Expr]) -> Vec<Expr> {
    let mut unique: Vec<Expr> = Vec::new();
    for expr in exprs {
        if !unique.contains(expr) {
            unique.push(expr.clone());
        }
    }
    unique
}

/// `expr` with the type and the name that the plan above expects.
fn restore(expr: Expr, kind: &DataType, qualifier: Option<&TableReference>, name: &str) -> Expr {
    cast(expr, kind.clone()).alias_qualified(qualifier.cloned(), name)
}
