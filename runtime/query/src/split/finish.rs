//! From merged parts to what was asked.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions::expr_fn::{coalesce, sqrt};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, cast, lit, when};

use super::recipe::unaliased;

/// How an aggregate comes of its merged parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// It is the only one.
    Whole,
    /// It is the only one, and none is zero.
    Count,
    /// Sum over count.
    Mean,
    /// Of sum, sum of squares and count. A sample's variance is over one less.
    Variance { of_sample: bool, root: bool },
    /// Of the same for one argument and, without the count, for the other, and the sum of their products.
    Correlation,
}

/// The call, if it is one that comes of sums of powers.
pub(super) fn moments_of(expr: &Expr) -> Option<(&AggregateFunction, Finish)> {
    let Expr::AggregateFunction(function) = unaliased(expr) else { return None };
    let params = &function.params;
    if params.distinct || !params.order_by.is_empty() || params.null_treatment.is_some() {
        return None;
    }
    let finish = match function.func.name() {
        "var" => Finish::Variance { of_sample: true, root: false },
        "var_pop" => Finish::Variance { of_sample: false, root: false },
        "stddev" => Finish::Variance { of_sample: true, root: true },
        "stddev_pop" => Finish::Variance { of_sample: false, root: true },
        "corr" => Finish::Correlation,
        _ => return None,
    };
    Some((function, finish))
}

impl Finish {
    /// The aggregate from its parts in their order, as a value that a cast makes one of `kind`.
    ///
    /// # Errors
    /// Where branches have no type in common.
    pub(super) fn of(self, parts: &[Expr], kind: &DataType) -> Result<Expr> {
        let part = |index: usize| parts.get(index).cloned().unwrap_or_else(|| lit(0_i64));
        Ok(match self {
            Self::Whole => part(0),
            Self::Count => coalesce(vec![part(0), lit(0_i64)]),
            Self::Mean => mean(part(0), part(1), kind),
            Self::Variance { of_sample, root } => {
                let count = number(part(2));
                let over = if of_sample { count.clone() - lit(1.0) } else { count.clone() };
                let variance = spread(part(0), part(1), &count)? / over.clone();
                let value = if root { sqrt(variance) } else { variance };
                when(over.gt(lit(0.0)), value).end()?
            }
            Self::Correlation => {
                let count = number(part(2));
                let (x, y) = (spread(part(0), part(1), &count)?, spread(part(3), part(4), &count)?);
                let both = number(part(5)) - number(part(0)) * number(part(3)) / count;
                let scale = x * y;
                when(scale.clone().gt(lit(0.0)), both / sqrt(scale)).end()?
            }
        })
    }
}

fn number(part: Expr) -> Expr {
    cast(part, DataType::Float64)
}

/// The sum of squared distances from the mean; rounding makes none negative.
fn spread(sum: Expr, squares: Expr, count: &Expr) -> Result<Expr> {
    let spread = number(squares) - number(sum.clone()) * number(sum) / count.clone();
    when(spread.clone().gt(lit(0.0)), spread).otherwise(lit(0.0))
}

/// Sum over count. A decimal sum keeps its scale and gains the four digits that decimal division adds, which is the
/// scale that `avg` of a decimal has.
fn mean(sum: Expr, count: Expr, result: &DataType) -> Expr {
    match result {
        DataType::Decimal128(_, scale) => {
            let digits = (*scale - 4).max(0);
            cast(sum, DataType::Decimal128(38, digits)) / cast(count, DataType::Decimal128(20, 0))
        }
        _ => number(sum) / number(count),
    }
}
