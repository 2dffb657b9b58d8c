//! One region executes one fragment: the same path for its own questions and for those of other regions, except that
//! what crosses a border passes the egress guard.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::functions_aggregate::expr_fn::count_distinct;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, col};
use datafusion::prelude::{DataFrame, SessionContext};
use domicile_types::limits::FRAGMENT_ROWS_MAX;
use futures::TryStreamExt;

use crate::QueryError;
use crate::admit::AdmittedFragment;
use crate::bind::Binder;
use crate::fragment::Shape;

/// Column of the guard's own: distinct entities of a group. Removed before anything is released.
const ENTITIES_COLUMN: &str = "_entities";

/// What a fragment gives.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rows: u64,
    /// Groups held back.
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
) -> Result<Released, QueryError> {
    let minimum = admitted.verdict.as_ref().map_or(0, |verdict| verdict.minimum_entities);
    let plan = match &admitted.fragment.shape {
        Shape::Rows(plan) => project(binder.bind(plan.clone())?, names, false)?,
        Shape::Groups { input, group, aggregates } if minimum > 0 => {
            let (input, entity) = binder.bind_with_entity(input)?;
            let mut aggregates = aggregates.clone();
            aggregates.push(count_distinct(col(entity)).alias(ENTITIES_COLUMN));
            project(grouped(input, group, aggregates)?, names, true)?
        }
        Shape::Groups { input, group, aggregates } => {
            project(grouped(binder.bind(input.clone())?, group, aggregates.clone())?, names, false)?
        }
    };
    let schema: SchemaRef = Arc::clone(plan.schema().inner());
    let batches = collect(session, plan, FRAGMENT_ROWS_MAX, "a fragment's result").await?;
    if minimum > 0 && matches!(admitted.fragment.shape, Shape::Groups { .. }) {
        return guard(&schema, &batches, minimum);
    }
    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    Ok(Released { schema, batches, rows, suppressed: 0 })
}

/// Runs a bound plan to its end.
///
/// # Errors
/// Where it fails, or gives more than `rows_max` rows.
pub(crate) async fn collect(
    session: &SessionContext,
    plan: LogicalPlan,
    rows_max: usize,
    what: &'static str,
) -> Result<Vec<RecordBatch>, QueryError> {
    let mut stream = DataFrame::new(session.state(), plan).execute_stream().await?;
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows();
        if rows > rows_max {
            return Err(QueryError::TooLarge { what, limit: rows_max, unit: "rows" });
        }
        batches.push(batch);
    }
    Ok(batches)
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

fn project(plan: LogicalPlan, names: &[(usize, String)], with_entities: bool) -> Result<LogicalPlan, QueryError> {
    let columns = plan.schema().columns();
    let mut outputs = Vec::with_capacity(names.len() + 1);
    for (index, name) in names {
        let column = columns.get(*index).cloned();
        let column = column.ok_or_else(|| QueryError::Execution(format!("the fragment has no column {index}")))?;
        outputs.push(col(column).alias(name));
    }
    if with_entities {
        outputs.push(datafusion::logical_expr::ident(ENTITIES_COLUMN));
    }
    Ok(LogicalPlanBuilder::from(plan).project(outputs)?.build()?)
}

/// Holds back every group with fewer than `minimum` distinct entities.
fn guard(schema: &SchemaRef, batches: &[RecordBatch], minimum: u64) -> Result<Released, QueryError> {
    let failed = |e: arrow::error::ArrowError| QueryError::Execution(e.to_string());
    let last = schema.fields().len() - 1;
    let kept: Vec<usize> = (0..last).collect();
    let released_schema = Arc::new(schema.project(&kept).map_err(failed)?);
    let (mut released, mut rows, mut suppressed) = (Vec::with_capacity(batches.len()), 0, 0);
    for batch in batches {
        let entities = batch.column(last).as_primitive::<Int64Type>();
        let enough: BooleanArray =
            entities.iter().map(|n| Some(n.is_some_and(|n| u64::try_from(n).unwrap_or(0) >= minimum))).collect();
        let open = filter_record_batch(batch, &enough).and_then(|open| open.project(&kept)).map_err(failed)?;
        rows += open.num_rows() as u64;
        suppressed += (batch.num_rows() - open.num_rows()) as u64;
        released.push(open);
    }
    Ok(Released { schema: released_schema, batches: released, rows, suppressed })
}
