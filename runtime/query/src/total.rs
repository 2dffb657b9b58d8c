//! Expressions made total: what cannot be computed becomes NULL.
//!
//! An error that depends on values would tell a caller across the border about single rows, so a fragment for another
//! region is executed without casts and divisions that can fail.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions::expr_fn::nullif;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, TryCast, lit};

/// The plan with every cast and division of its expressions made total.
///
/// # Errors
/// Where a node cannot be rebuilt.
pub(crate) fn total(plan: LogicalPlan) -> Result<LogicalPlan> {
    let total = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|expr| Ok(total_expression(expr)))?.update_data(|expr| name.restore(expr)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    });
    Ok(total?.data)
}

fn total_expression(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::Cast(cast) => Transformed::yes(Expr::TryCast(TryCast { expr: cast.expr, field: cast.field })),
        Expr::BinaryExpr(mut binary) if matches!(binary.op, Operator::Divide | Operator::Modulo) => {
            binary.right = Box::new(nullif(*binary.right, lit(0)));
            Transformed::yes(Expr::BinaryExpr(binary))
        }
        other => Transformed::no(other),
    }
}
