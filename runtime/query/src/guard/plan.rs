//! Groups with the evidence that the guard needs.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min, sum};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, col, ident, lit, when,
};
use domicile_policy::Verdict;

use super::{GuardColumns, ValueColumns};
use crate::QueryError;
use crate::aggregate::plugin_aggregate;
use crate::fragment::aggregate_function;

/// A plan whose columns are group keys, values, and then the guard's own.
pub(crate) struct Guarded {
    pub(crate) plan: LogicalPlan,
    /// The guard's own columns, which come last.
    pub(crate) names: Vec<String>,
    pub(crate) columns: GuardColumns,
}

/// Aggregates whose value over a group comes of those over its entities.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Additive {
    Count,
    Sum,
    Min,
    Max,
}

/// The groups of `input`, whose column `entity` says whom a row is about.
///
/// # Errors
/// Where a value cannot be guarded as the verdict wants it.
pub(crate) fn plan(
    input: LogicalPlan,
    entity: &Column,
    group: &[Expr],
    aggregates: &[Expr],
    verdict: &Verdict,
) -> Result<Guarded, QueryError> {
    let limits_shares = verdict.dominance_percent < 100;
    let kinds = aggregates.iter().map(additive).collect::<Result<Vec<_>, _>>()?;
    let Some(kinds) = kinds.iter().copied().collect::<Option<Vec<_>>>() else {
        if limits_shares && kinds.iter().any(Option::is_some) {
            let what = "an aggregate of a plugin beside others, where one contributor's share is limited";
            return Err(QueryError::AcrossRegions { what: what.to_owned() });
        }
        return by_group(input, entity, group, aggregates);
    };
    by_entity(input, entity, group, aggregates, &kinds, limits_shares)
}

/// None for an aggregate whose states only a plugin understands.
fn additive(expr: &Expr) -> Result<Option<Additive>, QueryError> {
    let function = aggregate_function(expr)?;
    match (plugin_aggregate(function), function.func.name()) {
        (Some(_), _) => Ok(None),
        (None, "count") => Ok(Some(Additive::Count)),
        (None, "sum") => Ok(Some(Additive::Sum)),
        (None, "min") => Ok(Some(Additive::Min)),
        (None, "max") => Ok(Some(Additive::Max)),
        (None, other) => {
            Err(QueryError::AcrossRegions { what: format!("`{other}` as it is, instead of sums and counts,") })
        }
    }
}

fn key(index: usize) -> String {
    format!("_key{index}")
}

fn part(index: usize) -> String {
    format!("_part{index}")
}

fn value(index: usize) -> String {
    format!("_value{index}")
}

const ENTITY: &str = "_of";

/// First what each entity adds to each group, and then the groups of that.
fn by_entity(
    input: LogicalPlan,
    entity: &Column,
    group: &[Expr],
    aggregates: &[Expr],
    kinds: &[Additive],
    limits_shares: bool,
) -> Result<Guarded, QueryError> {
    let mut keys = group.to_vec();
    keys.push(col(entity.clone()));
    let parts = LogicalPlanBuilder::from(input).aggregate(keys, aggregates.to_vec())?.build()?;
    let names = (0..group.len()).map(key).chain([ENTITY.to_owned()]).chain((0..kinds.len()).map(part));
    let columns = parts.schema().columns().into_iter().zip(names).map(|(column, name)| col(column).alias(name));
    let columns: Vec<Expr> = columns.collect();
    let parts = LogicalPlanBuilder::from(parts).project(columns)?.build()?;

    let mut guards = Guards::default();
    let entities = guards.add(count(lit(1_i64)));
    let mut values = Vec::with_capacity(kinds.len());
    let mut wholes = Vec::with_capacity(kinds.len());
    for (index, kind) in kinds.iter().enumerate() {
        let part = ident(part(index));
        wholes.push(match kind {
            Additive::Count | Additive::Sum => sum(part.clone()),
            Additive::Min => min(part.clone()),
            Additive::Max => max(part.clone()),
        });
        // Who has nothing to count has no part in the count.
        let present = if *kind == Additive::Count { part.clone().gt(lit(0_i64)) } else { part.clone().is_not_null() };
        let present = guards.add(count(lit(1_i64)).filter(present).build()?);
        let weights = match kind {
            Additive::Count | Additive::Sum if limits_shares => {
                let weight = weight(&part)?;
                Some((guards.add(max(weight.clone())), guards.add(sum(weight))))
            }
            _ => None,
        };
        values.push(ValueColumns { present, weights });
    }
    let names = guards.names();
    let keys: Vec<Expr> = (0..group.len()).map(|index| ident(key(index))).collect();
    let kept = keys.clone();
    let types = part_types(parts.schema(), kinds.len())?;
    let wholes = wholes.into_iter().enumerate().map(|(index, whole)| whole.alias(value(index)));
    let columns: Vec<Expr> =
        wholes.chain(guards.0.into_iter().zip(&names).map(|(expr, name)| expr.alias(name))).collect();
    let plan = LogicalPlanBuilder::from(parts).aggregate(keys, columns)?;
    // A sum of sums is wider than a sum; the type is what the asking region expects.
    let whole = types.into_iter().enumerate().map(|(index, kind)| cast(ident(value(index)), kind).alias(value(index)));
    let released: Vec<Expr> = kept.into_iter().chain(whole).chain(names.iter().map(ident)).collect();
    let plan = plan.project(released)?.build()?;
    Ok(Guarded { plan, names, columns: GuardColumns { entities, values } })
}

fn part_types(schema: &DFSchema, count: usize) -> Result<Vec<DataType>, QueryError> {
    let kind = |index| ident(part(index)).get_type(schema).map_err(QueryError::from);
    (0..count).map(kind).collect()
}

/// How much an entity adds, whichever way.
fn weight(part: &Expr) -> Result<Expr, QueryError> {
    let number = cast(part.clone(), DataType::Float64);
    Ok(when(number.clone().lt(lit(0.0)), lit(0.0) - number.clone()).otherwise(number)?)
}

/// The groups as they are, with entities counted: for states that only a plugin can put together.
fn by_group(input: LogicalPlan, entity: &Column, group: &[Expr], aggregates: &[Expr]) -> Result<Guarded, QueryError> {
    let mut guards = Guards::default();
    let entities = guards.add(count_distinct(col(entity.clone())));
    let mut values = Vec::new();
    for aggregate in aggregates {
        for argument in &aggregate_function(aggregate)?.params.args {
            if argument.nullable(input.schema().as_ref())? {
                let present = argument.clone().is_not_null();
                let present = guards.add(count_distinct(col(entity.clone())).filter(present).build()?);
                values.push(ValueColumns { present, weights: None });
            }
        }
    }
    let names = guards.names();
    let guards = guards.0.into_iter().zip(&names).map(|(expr, name)| expr.alias(name));
    let aggregates: Vec<Expr> = aggregates.iter().cloned().chain(guards).collect();
    let plan = LogicalPlanBuilder::from(input).aggregate(group.to_vec(), aggregates)?.build()?;
    Ok(Guarded { plan, names, columns: GuardColumns { entities, values } })
}

/// The guard's own columns, in order.
#[derive(Default)]
struct Guards(Vec<Expr>);

impl Guards {
    fn add(&mut self, column: Expr) -> usize {
        self.0.push(column);
        self.0.len() - 1
    }

    fn names(&self) -> Vec<String> {
        (0..self.0.len()).map(|index| format!("_guard{index}")).collect()
    }
}
