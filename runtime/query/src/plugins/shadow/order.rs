//! Whether the order of an answer's rows has to be compared.

use datafusion::logical_expr::{Expr, LogicalPlan};

/// Whether the order of a plan's rows says something that the rows do not: they are sorted by something that is no
/// column of theirs. Rows that are sorted by their own columns only differ in order where they differ, or among equals.
pub(crate) fn order_matters(plan: &LogicalPlan) -> bool {
    let (mut node, mut hidden) = (plan, false);
    loop {
        match node {
            LogicalPlan::Sort(sort) => {
                let own = |expr: &Expr| matches!(expr, Expr::Column(_));
                return hidden || !sort.expr.iter().all(|by| own(&by.expr));
            }
            LogicalPlan::Limit(limit) => node = &limit.input,
            LogicalPlan::SubqueryAlias(alias) => node = &alias.input,
            // What it leaves out may be what the rows are sorted by.
            LogicalPlan::Projection(projection) => (node, hidden) = (&projection.input, true),
            _ => return false,
        }
    }
}
