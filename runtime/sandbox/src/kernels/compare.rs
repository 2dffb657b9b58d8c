//! Comparisons and logic.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Datum, Scalar, new_null_array};
use arrow::compute::kernels::cmp::{eq, gt, gt_eq, lt, lt_eq, neq};
use arrow::compute::{and_kleene, is_not_null, not, or_kleene};
use arrow::datatypes::DataType;

use super::context::{Kernel, one_nan};
use super::types::{Comparison, Logic, Operand};
use crate::refusal::Refusal;
use crate::{Value, ValueType};

/// One side of a comparison or of arithmetic.
pub(super) enum Side {
    Column(ArrayRef),
    Value(Value),
}

impl Side {
    pub(super) fn new(kernel: &mut Kernel<'_>, operand: Operand) -> Result<Self, Refusal> {
        Ok(match operand {
            Operand::Column(number) => Self::Column(kernel.column(number)?),
            Operand::Value(Value::Double(value)) => Self::Value(Value::Double(one_nan(value))),
            Operand::Value(value) => Self::Value(value),
        })
    }

    /// The type; none for a null.
    pub(super) fn kind(&self) -> Option<ValueType> {
        match self {
            Self::Column(column) => ValueType::from_arrow(column.data_type()),
            Self::Value(value) => value.kind(),
        }
    }
}

/// Both sides, and the rows that they have.
pub(super) fn sides(kernel: &mut Kernel<'_>, left: Operand, right: Operand) -> Result<(Side, Side, usize), Refusal> {
    let (left, right) = (Side::new(kernel, left)?, Side::new(kernel, right)?);
    let rows = match (&left, &right) {
        (Side::Column(left), Side::Column(right)) => {
            kernel.same_rows(left.len(), right.len())?;
            left.len()
        }
        (Side::Column(column), Side::Value(_)) | (Side::Value(_), Side::Column(column)) => column.len(),
        (Side::Value(_), Side::Value(_)) => return Err(kernel.misuse("two values and no column".to_owned())),
    };
    Ok((left, right, rows))
}

pub(super) fn compare(
    kernel: &mut Kernel<'_>,
    left: Operand,
    comparison: Comparison,
    right: Operand,
) -> Result<u32, Refusal> {
    let (left, right, rows) = sides(kernel, left, right)?;
    kernel.admit(rows.div_ceil(8) * 2)?;
    let (Some(left_kind), Some(right_kind)) = (left.kind(), right.kind()) else {
        return kernel.add(new_null_array(&DataType::Boolean, rows));
    };
    if left_kind != right_kind {
        return Err(kernel.misuse(format!("{left_kind} and {right_kind}, which do not compare")));
    }
    let compare = match comparison {
        Comparison::Equal => eq,
        Comparison::NotEqual => neq,
        Comparison::Less => lt,
        Comparison::LessOrEqual => lt_eq,
        Comparison::Greater => gt,
        Comparison::GreaterOrEqual => gt_eq,
    };
    let (left, right) = (datum(left, left_kind), datum(right, right_kind));
    let answer = compare(left.as_ref(), right.as_ref()).map_err(|error| kernel.arrow(&error))?;
    kernel.add(Arc::new(answer))
}

fn datum(side: Side, kind: ValueType) -> Box<dyn Datum> {
    match side {
        Side::Column(column) => Box::new(column),
        Side::Value(value) => {
            let array = value.to_array().unwrap_or_else(|| new_null_array(&kind.arrow_type(), 1));
            Box::new(Scalar::new(array))
        }
    }
}

pub(super) fn combine(kernel: &mut Kernel<'_>, left: u32, logic: Logic, right: u32) -> Result<u32, Refusal> {
    let (left, right) = (kernel.booleans(left)?, kernel.booleans(right)?);
    kernel.same_rows(left.len(), right.len())?;
    kernel.admit(left.len().div_ceil(8) * 2)?;
    let combine = match logic {
        Logic::And => and_kleene,
        Logic::Or => or_kleene,
    };
    let answer = combine(&left, &right).map_err(|error| kernel.arrow(&error))?;
    kernel.add(Arc::new(answer))
}

pub(super) fn negate(kernel: &mut Kernel<'_>, column: u32) -> Result<u32, Refusal> {
    let column = kernel.booleans(column)?;
    kernel.admit(column.len().div_ceil(8) * 2)?;
    let answer = not(&column).map_err(|error| kernel.arrow(&error))?;
    kernel.add(Arc::new(answer))
}

pub(super) fn present(kernel: &mut Kernel<'_>, column: u32) -> Result<u32, Refusal> {
    let column = kernel.column(column)?;
    kernel.admit(column.len().div_ceil(8))?;
    let answer = is_not_null(column.as_ref()).map_err(|error| kernel.arrow(&error))?;
    kernel.add(Arc::new(answer))
}
