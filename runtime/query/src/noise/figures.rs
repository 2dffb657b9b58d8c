//! What one row adds to an aggregate, at most.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::functions::expr_fn::round;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Cast, Expr, cast, lit};
use domicile_policy::{Bounds, ColumnUse, PolicySet, Unnoised};

use crate::QueryError;
use crate::aggregate::plugin_aggregate;
use crate::expression::{Flow, column_flow};
use crate::fragment::aggregate_function;

/// Doubles are put on a grid of so many steps between zero and the larger bound, at least half of that.
const GRID_BITS: i32 = 30;
/// The largest value that is added up: many rows of it still fit into 128 bits.
const VALUE_MAX: i128 = 1_000_000_000_000_000_000_000_000_000;
/// Integers as decimals, so that no sum of them wraps around.
const INTEGER: DataType = DataType::Decimal128(19, 0);

/// An aggregate, as far as noise cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Of rows, or of values that are there.
    Count,
    /// Of a column as it is stored, of this type.
    Sum(ColumnUse, DataType),
    /// Anything else, and why it cannot be noised.
    Other(Unnoised),
}

/// What one row adds to an aggregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    /// At most, either way, in units.
    pub(crate) most: i128,
    pub(crate) unit: Unit,
}

/// What an integer of an exact aggregate stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    /// One row.
    Row,
    /// One.
    Integer,
    /// The last digit of a decimal.
    Digit,
    /// This many to one: a power of two.
    Grid(f64),
}

/// What an aggregate over `schema` with these flows is.
///
/// # Errors
/// Where it is none that merges.
pub(crate) fn figure(expr: &Expr, schema: &DFSchema, flows: &[Flow]) -> Result<Figure, QueryError> {
    let function = aggregate_function(expr)?;
    let name = function.func.name().to_lowercase();
    let unknown = |name: &str| Figure::Other(Unnoised::Functions(vec![name.to_owned()]));
    if plugin_aggregate(function).is_some() {
        return Ok(unknown(&name));
    }
    if function.params.distinct {
        return Ok(unknown(&format!("{name}(DISTINCT …)")));
    }
    let argument = match (name.as_str(), function.params.args.as_slice()) {
        ("count", _) => return Ok(Figure::Count),
        ("sum", [argument]) => argument,
        _ => return Ok(unknown(&name)),
    };
    let Some((column, kind)) = column(argument, schema)? else { return Ok(Figure::Other(Unnoised::Computed)) };
    let direct = column_flow(column, schema, flows)?.direct.as_ref();
    Ok(direct.map_or(Figure::Other(Unnoised::Computed), |base| Figure::Sum(base.column_use(), kind)))
}

/// The column that is summed, and the type that it is summed in: its own, or that of an integer made wider.
fn column<'e>(
    argument: &'e Expr,
    schema: &DFSchema,
) -> Result<Option<(&'e datafusion::common::Column, DataType)>, QueryError> {
    Ok(match argument {
        Expr::Alias(alias) => column(&alias.expr, schema)?,
        Expr::Column(column) => {
            let (_, field) = schema.qualified_field_from_column(column)?;
            Some((column, field.data_type().clone()))
        }
        Expr::Cast(Cast { expr, field }) => match (column(expr, schema)?, field.data_type()) {
            (Some((column, DataType::Int32)), DataType::Int64) => Some((column, DataType::Int32)),
            // As in means of integers.
            (Some((column, DataType::Int32 | DataType::Int64)), DataType::Float64) => Some((column, DataType::Float64)),
            _ => None,
        },
        _ => None,
    })
}

impl Figure {
    /// What one row adds to it.
    ///
    /// # Errors
    /// Why that is not known.
    pub(crate) fn measured(&self, policies: &PolicySet) -> Result<Measured, Unnoised> {
        match self {
            Self::Count => Ok(Measured { most: 1, unit: Unit::Row }),
            Self::Other(why) => Err(why.clone()),
            Self::Sum(column, kind) => {
                let policy = policies.policy(&column.dataset);
                let bounds = policy.and_then(|policy| policy.bounds.get(&column.column));
                let bounds = bounds.ok_or_else(|| Unnoised::Unbounded(column.column.clone()))?;
                of_sum(*bounds, kind).ok_or_else(|| Unnoised::TooWide(column.column.clone()))
            }
        }
    }
}

/// What a value within the bounds adds to a sum. The bounds are those that values are put within, of the column's type.
pub(super) fn of_sum(bounds: Bounds, kind: &DataType) -> Option<Measured> {
    let bound = |value: f64| ScalarValue::Float64(Some(value)).cast_to(kind).ok();
    let (min, max) = (bound(bounds.min)?, bound(bounds.max)?);
    let (most, unit) = match (min, max) {
        (ScalarValue::Int32(Some(min)), ScalarValue::Int32(Some(max))) => {
            (i128::from(min).abs().max(i128::from(max).abs()), Unit::Integer)
        }
        (ScalarValue::Int64(Some(min)), ScalarValue::Int64(Some(max))) => {
            (i128::from(min).abs().max(i128::from(max).abs()), Unit::Integer)
        }
        (ScalarValue::Decimal128(Some(min), ..), ScalarValue::Decimal128(Some(max), ..)) => {
            (min.abs().max(max.abs()), Unit::Digit)
        }
        (ScalarValue::Float64(Some(min)), ScalarValue::Float64(Some(max))) => on_grid(min.abs().max(max.abs()))?,
        _ => return None,
    };
    (most <= VALUE_MAX).then_some(Measured { most, unit })
}

/// The greatest value on a grid that is fine enough for it.
#[expect(clippy::cast_possible_truncation, reason = "an exponent, and a number of at most 31 bits")]
fn on_grid(most: f64) -> Option<(i128, Unit)> {
    const EXPONENT_MAX: i32 = 900;
    let exponent = GRID_BITS - most.log2().ceil() as i32;
    if exponent.abs() > EXPONENT_MAX {
        return None;
    }
    let steps = 2f64.powi(exponent);
    // One more than it can be, however it is rounded.
    Some(((most * steps).ceil() as i128 + 1, Unit::Grid(steps)))
}

impl Measured {
    /// The aggregate, computed exactly.
    ///
    /// # Errors
    /// Where it is no aggregate.
    pub(super) fn exact(&self, aggregate: &Expr) -> Result<Expr, QueryError> {
        let function = aggregate_function(aggregate)?;
        let argument = || function.params.args.first().cloned().unwrap_or_else(|| lit(ScalarValue::Null));
        let integer = match self.unit {
            Unit::Row | Unit::Digit => return Ok(aggregate.clone()),
            Unit::Integer => cast(argument(), INTEGER),
            Unit::Grid(steps) => cast(cast(round(vec![argument() * lit(steps)]), DataType::Int64), INTEGER),
        };
        let summed = sum(integer);
        Ok(match (summed, function.params.filter.clone()) {
            (Expr::AggregateFunction(mut summed), Some(filter)) => {
                summed.params.filter = Some(filter);
                Expr::AggregateFunction(summed)
            }
            (summed, _) => summed,
        })
    }
}
