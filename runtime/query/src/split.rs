//! One plan over the world into fragments for the regions and the rest that merges them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as DataFusionResult, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, cast, col, lit};
use datafusion::sql::unparser::plan_to_sql;

use domicile_types::DatasetName;

use crate::QueryError;
use crate::aggregate::plugin_aggregate;
use crate::catalog::{Catalog, PlannedTable, Relation, relation};
use crate::fragment::{Fragment, aggregate_function};

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
pub(crate) fn split(plan: LogicalPlan, catalog: &Catalog) -> Result<Split, QueryError> {
    let mut splitter = Splitter { catalog, fragments: Vec::new(), failed: None };
    let rest = plan.transform_down(|node| splitter.node(node));
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
        if !node.inputs().is_empty() && !inputs_resident(&node)? {
            return Ok(inside(node));
        }
        match &node {
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
                self.aggregate(&Aggregate::try_new(Arc::clone(input), columns, Vec::new())?)
            }
            LogicalPlan::Aggregate(aggregate) => match self.aggregate(aggregate) {
                Err(QueryError::AcrossRegions { .. }) if aggregates_below(&aggregate.input)? => {
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

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Transformed<LogicalPlan>, QueryError> {
        // Checked before the partial aggregates are made, so that messages speak of what the caller wrote.
        Fragment::of_aggregate(aggregate, self.catalog)?;
        let mut partials = Vec::new();
        for expr in &aggregate.aggr_expr {
            partials.extend(partial_aggregates(expr)?);
        }
        let partials = one_of_each_name(partials);
        let groups = aggregate.group_expr.len();
        let partial_plan =
            Aggregate::try_new(Arc::clone(&aggregate.input), aggregate.group_expr.clone(), dedup(&partials))?;
        let fragment = Fragment::of_aggregate(&partial_plan, self.catalog)?;
        let places: Vec<usize> = partials
            .iter()
            .map(|wanted| partial_plan.aggr_expr.iter().position(|have| have == wanted).unwrap_or_default())
            .collect();
        let partial_plan = LogicalPlan::Aggregate(partial_plan);
        let name = |index: usize| if index < groups { format!("g{index}") } else { format!("a{}", index - groups) };
        let names = numbered(&partial_plan, name);
        let partial = self.push(fragment, &partial_plan, names)?;
        let plan = merge(aggregate, partial, &places)?;
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
        col(datafusion::common::Column::new(Some(self.table.as_str()), name))
    }
}

/// The name under which the rest of a plan reads a fragment's partial results.
pub(crate) fn partial_name(index: usize) -> String {
    format!("_partial_{index}")
}

fn inputs_resident(node: &LogicalPlan) -> Result<bool, QueryError> {
    node.inputs().into_iter().try_fold(false, |found, input| Ok(found || has_resident(input)?))
}

fn aggregates_below(plan: &LogicalPlan) -> Result<bool, QueryError> {
    Ok(plan.exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_))))?)
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

/// An average of whole numbers is made of sums and counts of casts, and the engine gives these the names that they would
/// have without casts. Where the question has the sum or count itself as well, that one stands for both.
fn one_of_each_name(partials: Vec<Expr>) -> Vec<Expr> {
    let names: Vec<String> = partials.iter().map(|partial| partial.schema_name().to_string()).collect();
    let plain = |name: &String| {
        let named = partials.iter().zip(&names).filter(|(_, other)| *other == name).map(|(partial, _)| partial);
        named.into_iter().find(|partial| !casts(partial))
    };
    let one = |(partial, name)| plain(name).unwrap_or(partial).clone();
    partials.iter().zip(&names).map(one).collect()
}

/// Whether the aggregate is of numbers made doubles, as an average takes them.
fn casts(aggregate: &Expr) -> bool {
    let to_double =
        |argument: &Expr| matches!(argument, Expr::Cast(cast) if *cast.field.data_type() == DataType::Float64);
    matches!(aggregate, Expr::AggregateFunction(call) if call.params.args.iter().any(to_double))
}

/// The mergeable aggregates that one aggregate is made of: `avg` is a sum and a count, a plugin's is its state.
fn partial_aggregates(expr: &Expr) -> Result<Vec<Expr>, QueryError> {
    let function = aggregate_function(expr)?;
    if let Some(aggregate) = plugin_aggregate(function) {
        return Ok(vec![aggregate.state_of(function)]);
    }
    if function.func.name() != "avg" {
        return Ok(vec![expr.clone().unalias()]);
    }
    let argument = function.params.args.first().cloned().unwrap_or_else(|| lit(1));
    let parts = [sum(argument.clone()), count(argument)].into_iter().map(|part| match part {
        Expr::AggregateFunction(mut part) => {
            part.params.filter.clone_from(&function.params.filter);
            Expr::AggregateFunction(part)
        }
        other => other,
    });
    Ok(parts.collect())
}

/// The aggregate that combines partial results into what `aggregate` would have given.
fn merge(aggregate: &Aggregate, partial: Partial, places: &[usize]) -> Result<LogicalPlan, QueryError> {
    let groups = aggregate.group_expr.len();
    let group: Vec<Expr> = (0..groups).map(|index| partial.column(&format!("g{index}"))).collect();
    let mut merging = Vec::new();
    let mut finals = Vec::new();
    let mut places = places.iter();
    for (index, expr) in aggregate.aggr_expr.iter().enumerate() {
        let function = aggregate_function(expr)?;
        let (qualifier, field) = aggregate.schema.qualified_field(groups + index);
        let mut next = |combine: &dyn Fn(Expr) -> Expr| {
            let place = places.next().copied().unwrap_or_default();
            let combined = combine(partial.column(&format!("a{place}")));
            merging.push(combined.clone());
            col(combined.schema_name().to_string())
        };
        let value = match (plugin_aggregate(function), function.func.name()) {
            (Some(aggregate), _) => next(&|states| aggregate.merge_of(states)),
            (None, "min") => next(&min),
            (None, "max") => next(&max),
            (None, "count") => coalesce(vec![next(&sum), lit(0_i64)]),
            (None, "avg") => mean(next(&sum), next(&sum), field.data_type()),
            (None, _) => next(&sum),
        };
        finals.push(restore(value, field.data_type(), qualifier, field.name()));
    }
    let restored_groups = (0..groups).map(|index| {
        let (qualifier, field) = aggregate.schema.qualified_field(index);
        restore(partial.column(&format!("g{index}")), field.data_type(), qualifier, field.name())
    });
    let outputs: Vec<Expr> = restored_groups.chain(finals).collect();
    Ok(partial.scan.aggregate(group, dedup(&merging))?.project(outputs)?.build()?)
}

/// Sum over count. A decimal sum keeps its scale and gains the four digits that decimal division adds, which is the
/// scale that `avg` of a decimal has.
fn mean(sum: Expr, count: Expr, result: &DataType) -> Expr {
    match result {
        DataType::Decimal128(_, scale) => {
            let digits = (*scale - 4).max(0);
            cast(sum, DataType::Decimal128(38, digits)) / cast(count, DataType::Decimal128(20, 0))
        }
        _ => cast(sum, DataType::Float64) / cast(count, DataType::Float64),
    }
}

/// `expr` with the type and the name that the plan above expects.
fn restore(expr: Expr, kind: &DataType, qualifier: Option<&TableReference>, name: &str) -> Expr {
    cast(expr, kind.clone()).alias_qualified(qualifier.cloned(), name)
}
