//! How long the expressions of a question become where each column stands for what it is computed of: the optimizer puts
//! definitions in the place of columns when it moves conditions, and a short text can nest them so that no memory holds
//! the result.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Subquery};
use domicile_types::limits::EXPANDED_NODES_MAX;

use crate::QueryError;

/// Refuses a question whose expressions could become too long.
///
/// # Errors
/// Where one could, or a subquery's plan cannot be walked.
pub(crate) fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
    columns(plan).map(|_| ()).map_err(|error| match error {
        Grown::TooLong => QueryError::TooLarge {
            what: "an expression of the question, with what its columns are computed of,",
            limit: EXPANDED_NODES_MAX,
            unit: "parts",
        },
        Grown::Plan(error) => QueryError::Execution(error.to_string()),
    })
}

enum Grown {
    TooLong,
    Plan(DataFusionError),
}

/// Parts of what each column of the plan is computed of.
fn columns(plan: &LogicalPlan) -> Result<Vec<usize>, Grown> {
    let inputs = plan.inputs();
    let sizes = inputs.iter().map(|input| columns(input)).collect::<Result<Vec<_>, _>>()?;
    let size = |expr: &Expr| size(expr, &inputs, &sizes);
    for expr in plan.expressions() {
        size(&expr)?;
    }
    let concatenated = || sizes.iter().flatten().copied().collect::<Vec<_>>();
    let width = plan.schema().fields().len();
    Ok(match plan {
        LogicalPlan::Projection(projection) => projection.expr.iter().map(size).collect::<Result<_, _>>()?,
        LogicalPlan::Aggregate(aggregate) => {
            let keys = aggregate.group_expr.iter().map(size).collect::<Result<Vec<_>, _>>()?;
            let keys =
                if keys.len() + aggregate.aggr_expr.len() == width { keys } else { vec![largest(&sizes); width] };
            keys.into_iter().chain(std::iter::repeat(1)).take(width).collect()
        }
        LogicalPlan::Window(_) => concatenated().into_iter().chain(std::iter::repeat(1)).take(width).collect(),
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti) => {
            sizes.last().cloned().unwrap_or_default()
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Join(_) => concatenated().into_iter().chain(std::iter::repeat(1)).take(width).collect(),
        _ => vec![largest(&sizes); width],
    })
}

fn largest(sizes: &[Vec<usize>]) -> usize {
    sizes.iter().flatten().copied().max().unwrap_or(1)
}

/// Parts of the expression with what the columns of these inputs are computed of.
fn size(expr: &Expr, inputs: &[&LogicalPlan], sizes: &[Vec<usize>]) -> Result<usize, Grown> {
    let mut parts = 0_usize;
    let mut within = Ok(());
    let of_column = |column| {
        let of_input = inputs.iter().zip(sizes).find_map(|(input, sizes)| {
            input.schema().maybe_index_of_column(column).and_then(|index| sizes.get(index).copied())
        });
        of_input.unwrap_or(1)
    };
    let walked = expr.apply(|part| {
        parts = parts.saturating_add(if let Expr::Column(column) = part { of_column(column) } else { 1 });
        if let Some(subquery) = subquery(part) {
            within = columns(&subquery.subquery).map(|_| ());
        }
        let stop = parts > EXPANDED_NODES_MAX || within.is_err();
        Ok(if stop { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(Grown::Plan)?;
    within?;
    if parts > EXPANDED_NODES_MAX { Err(Grown::TooLong) } else { Ok(parts) }
}

fn subquery(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::InSubquery(of) => Some(&of.subquery),
        Expr::Exists(of) => Some(&of.subquery),
        _ => None,
    }
}
