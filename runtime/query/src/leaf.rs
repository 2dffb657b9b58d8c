//! One region executes one fragment: the same path for its own questions and for those of other regions, except that
//! what crosses a border passes the egress guard.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::common::Column;
use datafusion::functions_aggregate::expr_fn::count_distinct;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, col, ident,
};
use datafusion::prelude::SessionContext;
use domicile_types::limits::FRAGMENT_ROWS_MAX;

use crate::QueryError;
use crate::admit::AdmittedFragment;
use crate::bind::Binder;
use crate::compute::Compute;
use crate::fragment::{Shape, aggregate_function};
use crate::total::total;

/// Columns of the guard's own, removed before anything is released: distinct entities of a group, then those behind
/// each value that may be missing in some rows.
const ENTITIES_COLUMN: &str = "_entities";

/// What a fragment gives.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rows: u64,
    /// Groups held back, rounded up to a multiple of the threshold: the exact number would itself tell about groups
    /// that are too small.
    pub(crate) suppressed: u64,
}

/// Executes an admitted fragment. `names` are its outputs in order: index of the computed column, and name.
///
/// # Errors
/// Where execution fails or the result passes its limit.
pub(crate) async fn execute(
    admitted: &AdmittedFragment,
    names: &[(usize, String)],
    binder: &Binder<'_>,
    session: &SessionContext,
    compute: &Compute,
) -> Result<Released, QueryError> {
    let plan = plan(admitted, names, binder)?;
    let schema: SchemaRef = Arc::clone(plan.schema().inner());
    let batches = compute.collect(session, plan, FRAGMENT_ROWS_MAX, "a fragment's result").await?;
    guard(&schema, &batches, names.len(), minimum(admitted))
}

/// The plan of an admitted fragment over the region's rows, with the guard's own columns last.
///
/// # Errors
/// Where a table cannot be opened.
pub(crate) fn plan(
    admitted: &AdmittedFragment,
    names: &[(usize, String)],
    binder: &Binder<'_>,
) -> Result<LogicalPlan, QueryError> {
    let minimum = minimum(admitted);
    let mut guards = Vec::new();
    let plan = match &admitted.fragment.shape {
        Shape::Rows(plan) => project(binder.bind(plan.clone())?, names, &guards)?,
        Shape::Groups { input, group, aggregates } if minimum > 0 => {
            let (input, entity) = binder.bind_with_entity(input)?;
            let counts = entity_counts(&input, &entity, aggregates)?;
            guards = (0..counts.len()).map(|index| format!("{ENTITIES_COLUMN}{index}")).collect();
            let counts = counts.into_iter().zip(&guards).map(|(count, name)| count.alias(name));
            let aggregates = aggregates.iter().cloned().chain(counts).collect();
            project(grouped(input, group, aggregates)?, names, &guards)?
        }
        Shape::Groups { input, group, aggregates } => {
            project(grouped(binder.bind(input.clone())?, group, aggregates.clone())?, names, &guards)?
        }
    };
    Ok(if admitted.verdict.is_some() { total(plan)? } else { plan })
}

/// The plan of an admitted fragment that is not judged by groups, over the region's rows.
///
/// # Errors
/// Where the fragment is one of groups, or a table cannot be opened.
pub(crate) fn crossing(admitted: &AdmittedFragment, binder: &Binder<'_>) -> Result<LogicalPlan, QueryError> {
    let Shape::Rows(plan) = &admitted.fragment.shape else {
        return Err(QueryError::Execution("a query plugin's input is read whole".to_owned()));
    };
    let plan = binder.bind(plan.clone())?;
    Ok(if admitted.verdict.is_some() { total(plan)? } else { plan })
}

fn minimum(admitted: &AdmittedFragment) -> u64 {
    admitted.verdict.as_ref().map_or(0, |verdict| verdict.minimum_entities)
}

/// Distinct entities of the group, and of the rows in which an argument that may be missing is there.
fn entity_counts(input: &LogicalPlan, entity: &Column, aggregates: &[Expr]) -> Result<Vec<Expr>, QueryError> {
    let mut counts = vec![count_distinct(col(entity.clone()))];
    for aggregate in aggregates {
        for argument in &aggregate_function(aggregate)?.params.args {
            if argument.nullable(input.schema().as_ref())? {
                let present = argument.clone().is_not_null();
                counts.push(count_distinct(col(entity.clone())).filter(present).build()?);
            }
        }
    }
    Ok(counts)
}

fn grouped(input: LogicalPlan, group: &[Expr], aggregates: Vec<Expr>) -> Result<LogicalPlan, QueryError> {
    // Group keys in order compress several times better than in the order of a hash table, and tell nothing.
    let aggregate = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), group.to_vec(), aggregates)?);
    let keys = aggregate.schema().columns().into_iter().take(group.len()).map(|key| col(key).sort(true, true));
    let keys: Vec<_> = keys.collect();
    if keys.is_empty() {
        return Ok(aggregate);
    }
    Ok(LogicalPlanBuilder::from(aggregate).sort(keys)?.build()?)
}

fn project(plan: LogicalPlan, names: &[(usize, String)], guards: &[String]) -> Result<LogicalPlan, QueryError> {
    let columns = plan.schema().columns();
    let mut outputs = Vec::with_capacity(names.len() + guards.len());
    for (index, name) in names {
        let column = columns.get(*index).cloned();
        let column = column.ok_or_else(|| QueryError::Execution(format!("the fragment has no column {index}")))?;
        outputs.push(col(column).alias(name));
    }
    outputs.extend(guards.iter().map(ident));
    Ok(LogicalPlanBuilder::from(plan).project(outputs)?.build()?)
}

/// Holds back every group with fewer than `minimum` distinct entities, or with a value that fewer stand behind but
/// not none. The first `outputs` columns are the released ones, the guard's own follow.
fn guard(schema: &SchemaRef, batches: &[RecordBatch], outputs: usize, minimum: u64) -> Result<Released, QueryError> {
    let failed = |e: arrow::error::ArrowError| QueryError::Execution(e.to_string());
    let kept: Vec<usize> = (0..outputs).collect();
    let released_schema = Arc::new(schema.project(&kept).map_err(failed)?);
    let (mut released, mut rows, mut suppressed) = (Vec::with_capacity(batches.len()), 0, 0_u64);
    for batch in batches {
        let open = filter_record_batch(batch, &open_groups(batch, outputs, minimum));
        let open = open.and_then(|open| open.project(&kept)).map_err(failed)?;
        rows += open.num_rows() as u64;
        suppressed += (batch.num_rows() - open.num_rows()) as u64;
        released.push(open);
    }
    let suppressed = suppressed.div_ceil(minimum.max(1)) * minimum.max(1);
    Ok(Released { schema: released_schema, batches: released, rows, suppressed })
}

fn open_groups(batch: &RecordBatch, outputs: usize, minimum: u64) -> BooleanArray {
    let counts: Vec<_> = batch.columns()[outputs..].iter().map(|column| column.as_primitive::<Int64Type>()).collect();
    let open = |row: usize| {
        counts.iter().enumerate().all(|(index, count)| {
            let entities = u64::try_from(count.value(row)).unwrap_or(0);
            entities >= minimum || (index > 0 && entities == 0)
        })
    };
    (0..batch.num_rows()).map(|row| Some(open(row))).collect()
}
