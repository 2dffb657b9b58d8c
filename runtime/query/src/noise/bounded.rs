//! Of each entity only so many rows count.

use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, col, ident, lit};

use crate::QueryError;
use crate::guard::{About, MarkKey};

const RANK: &str = "_rank";

/// The rows of `input`, at most `rows_max` of each entity. Which ones, the marks of their versions under the region's own
/// key decide, and so nobody who asks.
///
/// # Errors
/// Where the plan cannot be made.
pub(crate) fn bounded(
    input: LogicalPlan,
    about: &About,
    key: MarkKey,
    rows_max: u64,
) -> Result<LogicalPlan, QueryError> {
    let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let order = about.versions.iter().map(|version| version.mark(key).sort(true, true)).collect();
    let rank = row_number().partition_by(vec![col(about.entity.clone())]).order_by(order).build()?;
    let ranked = LogicalPlanBuilder::from(input).window(vec![rank.alias(RANK)])?;
    Ok(ranked.filter(ident(RANK).lt_eq(lit(rows_max)))?.project(columns)?.build()?)
}
