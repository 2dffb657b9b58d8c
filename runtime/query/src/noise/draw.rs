//! Noise: integers of the discrete Laplace distribution, drawn by OpenDP's exact sampler.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema};
use arrow::error::ArrowError;
use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;
use domicile_policy::DifferentialPrivacy;
use opendp::traits::samplers::sample_discrete_laplace;

use super::Noised;
use super::figures::{Measured, Unit};
use crate::QueryError;

const MILLIONTHS: u64 = 1_000_000;

/// The scale of discrete Laplace noise: a value x has a probability in proportion to exp(-|x| / scale).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale(RBig);

impl Scale {
    /// What one entity can change, over the part of epsilon that one of `values` figures gets.
    pub(crate) fn of(measured: &Measured, terms: DifferentialPrivacy, values: usize) -> Self {
        let sensitivity = IBig::from(measured.most) * IBig::from(terms.rows_per_entity_max);
        let millionths = UBig::from(terms.epsilon_millionths.max(1));
        Self(RBig::from_parts(sensitivity * IBig::from(values.max(1)) * IBig::from(MILLIONTHS), millionths))
    }

    /// One integer of noise.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub(crate) fn draw(&self) -> Result<IBig, QueryError> {
        sample_discrete_laplace(self.0.clone()).map_err(|e| QueryError::Execution(format!("no noise: {e}")))
    }
}

fn failed(error: ArrowError) -> QueryError {
    QueryError::Execution(error.to_string())
}

/// The rows with noise on each of their values, in the types that are asked for.
pub(super) fn noise(
    rows: &RecordBatch,
    names: &[(usize, String)],
    noised: &Noised,
    values: usize,
) -> Result<RecordBatch, QueryError> {
    let (mut columns, mut fields) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
    for ((index, name), column) in names.iter().zip(rows.columns()) {
        let column = match noised.scale(index.wrapping_sub(noised.keys.len()), values) {
            Some(scale) if *index >= noised.keys.len() => {
                let unit = noised.measured[*index - noised.keys.len()].unit;
                let kind = noised.kinds.get(*index).ok_or(QueryError::PlanRefused)?;
                value(column, &scale, unit, kind)?
            }
            _ => Arc::clone(column),
        };
        fields.push(Field::new(name, column.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)
}

/// The column of an exact aggregate with noise on each value. What is nothing counts as zero.
fn value(column: &ArrayRef, scale: &Scale, unit: Unit, kind: &DataType) -> Result<ArrayRef, QueryError> {
    let noised = integers(column)?.into_iter().map(|exact| Ok(IBig::from(exact) + scale.draw()?));
    let noised: Vec<IBig> = noised.collect::<Result<_, QueryError>>()?;
    Ok(match (kind, unit) {
        (DataType::Int64, _) => Arc::new(Int64Array::from_iter_values(
            noised.iter().map(|it| i64::try_from(it).unwrap_or(if *it < IBig::ZERO { i64::MIN } else { i64::MAX })),
        )),
        (DataType::Float64, Unit::Grid(steps)) => {
            Arc::new(Float64Array::from_iter_values(noised.iter().map(|it| it.to_f64().value() / steps)))
        }
        (DataType::Decimal128(precision, scale), Unit::Digit) => {
            let most = 10_i128.pow(u32::from(*precision).min(38)) - 1;
            let kept = |it: &IBig| i128::try_from(it).unwrap_or(if *it < IBig::ZERO { -most } else { most });
            let values = noised.iter().map(|it| kept(it).clamp(-most, most));
            let values = Decimal128Array::from_iter_values(values).with_precision_and_scale(*precision, *scale);
            Arc::new(values.map_err(failed)?)
        }
        (other, _) => return Err(QueryError::AcrossRegions { what: format!("noise on numbers of type {other}") }),
    })
}

/// The values as integers, in the aggregate's unit.
fn integers(column: &ArrayRef) -> Result<Vec<i128>, QueryError> {
    Ok(match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(|it| it.map_or(0, i128::from)).collect(),
        DataType::Decimal128(..) => {
            column.as_primitive::<Decimal128Type>().iter().map(Option::unwrap_or_default).collect()
        }
        other => return Err(QueryError::AcrossRegions { what: format!("noise on numbers of type {other}") }),
    })
}
