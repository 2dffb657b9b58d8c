//! Arithmetic.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, new_null_array};
use arrow::compute::kernels::arity::binary;
use arrow::datatypes::{Date32Type, Float64Type, Int64Type};

use super::compare::{Side, sides};
use super::context::{Kernel, one_nan};
use super::types::{Arithmetic, Operand};
use crate::refusal::Refusal;
use crate::{Value, ValueType};

pub(super) fn calculate(
    kernel: &mut Kernel<'_>,
    left: Operand,
    arithmetic: Arithmetic,
    right: Operand,
) -> Result<u32, Refusal> {
    let (left, right, rows) = sides(kernel, left, right)?;
    kernel.admit(rows * 8 + rows.div_ceil(8))?;
    let kinds = (left.kind(), right.kind());
    let unfit = |kernel: &Kernel<'_>| {
        let name = |kind: Option<ValueType>| kind.map_or_else(|| "null".to_owned(), |kind| kind.to_string());
        let operation = operation(arithmetic);
        kernel.misuse(format!("{} and {}, which have no {operation}", name(kinds.0), name(kinds.1)))
    };
    let answer = match (kinds, arithmetic) {
        ((Some(ValueType::BigInt), Some(ValueType::BigInt)), _) => bigints(&left, arithmetic, &right),
        ((Some(ValueType::Double), Some(ValueType::Double)), _) => doubles(&left, arithmetic, &right),
        ((Some(ValueType::Date), Some(ValueType::Date)), Arithmetic::Subtract) => days_between(&left, &right),
        ((Some(ValueType::Date), Some(ValueType::BigInt)), Arithmetic::Add | Arithmetic::Subtract) => {
            moved(&left, arithmetic, &right)
        }
        ((Some(kind @ (ValueType::BigInt | ValueType::Double)), None), _)
        | ((None, Some(kind @ (ValueType::BigInt | ValueType::Double))), _) => {
            Some(new_null_array(&kind.arrow_type(), rows))
        }
        _ => None,
    };
    let answer = answer.ok_or_else(|| unfit(kernel))?;
    kernel.add(answer)
}

fn operation(arithmetic: Arithmetic) -> &'static str {
    match arithmetic {
        Arithmetic::Add => "sum",
        Arithmetic::Subtract => "difference",
        Arithmetic::Multiply => "product",
        Arithmetic::Divide => "quotient",
    }
}

/// A side whose type is known.
enum Typed<'a, T: ArrowPrimitiveType> {
    Column(&'a PrimitiveArray<T>),
    Value(T::Native),
}

fn typed<'a, T: ArrowPrimitiveType>(
    side: &'a Side,
    value: impl Fn(&Value) -> Option<T::Native>,
) -> Option<Typed<'a, T>> {
    match side {
        Side::Column(column) => column.as_primitive_opt::<T>().map(Typed::Column),
        Side::Value(given) => value(given).map(Typed::Value),
    }
}

fn bigint(side: &Side) -> Option<Typed<'_, Int64Type>> {
    typed(side, |value| if let Value::BigInt(value) = value { Some(*value) } else { None })
}

fn double(side: &Side) -> Option<Typed<'_, Float64Type>> {
    typed(side, |value| if let Value::Double(value) = value { Some(*value) } else { None })
}

fn date(side: &Side) -> Option<Typed<'_, Date32Type>> {
    typed(side, |value| if let Value::Date(value) = value { Some(*value) } else { None })
}

fn bigints(left: &Side, arithmetic: Arithmetic, right: &Side) -> Option<ArrayRef> {
    let (left, right) = (bigint(left)?, bigint(right)?);
    match arithmetic {
        Arithmetic::Add => total::<_, _, Int64Type>(&left, &right, i64::wrapping_add),
        Arithmetic::Subtract => total::<_, _, Int64Type>(&left, &right, i64::wrapping_sub),
        Arithmetic::Multiply => total::<_, _, Int64Type>(&left, &right, i64::wrapping_mul),
        Arithmetic::Divide => {
            partial::<_, _, Int64Type>(&left, &right, |left, right| (right != 0).then(|| left.wrapping_div(right)))
        }
    }
}

fn doubles(left: &Side, arithmetic: Arithmetic, right: &Side) -> Option<ArrayRef> {
    let (left, right) = (double(left)?, double(right)?);
    match arithmetic {
        Arithmetic::Add => total::<_, _, Float64Type>(&left, &right, |left, right| one_nan(left + right)),
        Arithmetic::Subtract => total::<_, _, Float64Type>(&left, &right, |left, right| one_nan(left - right)),
        Arithmetic::Multiply => total::<_, _, Float64Type>(&left, &right, |left, right| one_nan(left * right)),
        Arithmetic::Divide => total::<_, _, Float64Type>(&left, &right, |left, right| one_nan(left / right)),
    }
}

fn days_between(left: &Side, right: &Side) -> Option<ArrayRef> {
    let (left, right) = (date(left)?, date(right)?);
    total::<_, _, Int64Type>(&left, &right, |left, right| i64::from(left) - i64::from(right))
}

/// A date that is out of range is no value.
fn moved(left: &Side, arithmetic: Arithmetic, right: &Side) -> Option<ArrayRef> {
    let (left, right) = (date(left)?, bigint(right)?);
    partial::<_, _, Date32Type>(&left, &right, |date, days| {
        let moved = match arithmetic {
            Arithmetic::Subtract => i64::from(date).checked_sub(days),
            _ => i64::from(date).checked_add(days),
        };
        moved.and_then(|moved| i32::try_from(moved).ok())
    })
}

/// Where every two values have a result. None where both sides are values, or the lengths differ.
fn total<L: ArrowPrimitiveType, R: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    left: &Typed<'_, L>,
    right: &Typed<'_, R>,
    compute: impl Fn(L::Native, R::Native) -> O::Native,
) -> Option<ArrayRef> {
    let answer: PrimitiveArray<O> = match (left, right) {
        (Typed::Column(left), Typed::Column(right)) => binary(left, right, compute).ok()?,
        (Typed::Column(left), Typed::Value(right)) => left.unary(|left| compute(left, *right)),
        (Typed::Value(left), Typed::Column(right)) => right.unary(|right| compute(*left, right)),
        (Typed::Value(_), Typed::Value(_)) => return None,
    };
    Some(Arc::new(answer))
}

/// Where some have none. Otherwise as `total`.
fn partial<L: ArrowPrimitiveType, R: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    left: &Typed<'_, L>,
    right: &Typed<'_, R>,
    compute: impl Fn(L::Native, R::Native) -> Option<O::Native>,
) -> Option<ArrayRef> {
    let answer: PrimitiveArray<O> = match (left, right) {
        (Typed::Column(left), Typed::Column(right)) => {
            left.iter().zip(right.iter()).map(|(left, right)| compute(left?, right?)).collect()
        }
        (Typed::Column(left), Typed::Value(right)) => left.unary_opt(|left| compute(left, *right)),
        (Typed::Value(left), Typed::Column(right)) => right.unary_opt(|right| compute(*left, right)),
        (Typed::Value(_), Typed::Value(_)) => return None,
    };
    Some(Arc::new(answer))
}
