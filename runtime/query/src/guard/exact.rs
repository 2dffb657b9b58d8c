//! Sums that weigh what an entity contributes: with their signs, and only as far as they are exact.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col, ident, lit, when};

use crate::QueryError;

/// Whole numbers below are exact as floats.
pub(super) const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A sum below is exact as a float, where it is of numbers of this type.
pub(super) fn exact_max(kind: &DataType) -> f64 {
    match kind {
        DataType::Decimal128(_, scale) => EXACT_MAX / 10_f64.powi(i32::from(*scale)),
        kind if kind.is_integer() => EXACT_MAX,
        _ => f64::INFINITY,
    }
}

/// The plan with no numbers in the place of sums that may not be exact, so that nobody takes one for a sum that hardly
/// differs from another. `sums` are names of columns: of a sum, and of the same without signs; and what the latter has to
/// stay below.
///
/// # Errors
/// Where a column is missing.
pub(super) fn exact(plan: &LogicalPlan, sums: &[((String, String), f64)]) -> Result<LogicalPlan, QueryError> {
    let columns = plan.schema().columns().into_iter().map(|column| {
        let Some(((name, gross), max)) = sums.iter().find(|((name, _), _)| *name == column.name) else {
            return Ok(col(column));
        };
        let exact = when(ident(gross).gt_eq(lit(*max)), lit(f64::NAN)).otherwise(col(column))?;
        Ok(exact.alias(name))
    });
    let columns = columns.collect::<Result<Vec<_>, QueryError>>()?;
    Ok(LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()?)
}
