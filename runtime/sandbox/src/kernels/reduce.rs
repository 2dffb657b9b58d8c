//! Many rows to one value.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray, UInt32Array, make_comparator,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{ArrowNativeTypeOp, Date32Type, Float64Type, Int64Type};

use super::context::{Kernel, ROWS_BETWEEN_LOOKS, one_nan};
use super::types::Reduction;
use crate::frame::kind_of;
use crate::refusal::Refusal;
use crate::{Value, ValueType};

/// No row yet.
const NONE: u32 = u32::MAX;
/// Sums of doubles that are kept side by side, so that no addition waits for the one before it. The same on every
/// machine, and so are the sums.
const LANES: usize = 8;

pub(super) fn reduce(kernel: &mut Kernel<'_>, column: u32, reduction: Reduction) -> Result<Value, Refusal> {
    let column = kernel.column(column)?;
    if let (Reduction::Sum, Some(doubles)) = (reduction, column.as_primitive_opt::<Float64Type>())
        && doubles.null_count() == 0
        && !doubles.is_empty()
    {
        return Ok(Value::Double(sum(kernel, doubles.values())?));
    }
    let answer = reduced(kernel, &column, reduction, Groups { count: 1, of_row: |_| 0 })?;
    // One group makes one row, of a type that the columns of a call have.
    Ok(Value::at(&answer, 0).unwrap_or(Value::Null))
}

fn sum(kernel: &mut Kernel<'_>, values: &[f64]) -> Result<f64, Refusal> {
    // The zero that changes nothing that it is added to.
    let mut sums = [-0.0; LANES];
    for values in values.chunks(ROWS_BETWEEN_LOOKS) {
        kernel.at_row(0)?;
        let (lanes, rest) = values.as_chunks::<LANES>();
        for values in lanes {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value;
            }
        }
        for (sum, value) in sums.iter_mut().zip(rest) {
            *sum += value;
        }
    }
    Ok(one_nan(sums.iter().fold(-0.0, |left, right| left + right)))
}

pub(super) fn reduce_groups(
    kernel: &mut Kernel<'_>,
    column: u32,
    reduction: Reduction,
    group_of_row: u32,
    groups: u32,
) -> Result<u32, Refusal> {
    let (column, group_of_row) = (kernel.column(column)?, kernel.bigints(group_of_row)?);
    kernel.same_rows(column.len(), group_of_row.len())?;
    let groups = usize::try_from(groups).unwrap_or(usize::MAX);
    kernel.admit(groups.saturating_mul(16))?;
    if group_of_row.null_count() > 0 {
        return Err(no_such_group(kernel, groups));
    }
    let group_of_row = group_of_row.values();
    // A number that no group has, negative ones included, is one that no table of groups has.
    let of_row = |row: usize| usize::try_from(group_of_row[row]).unwrap_or(usize::MAX);
    let answer = reduced(kernel, &column, reduction, Groups { count: groups, of_row })?;
    kernel.add(answer)
}

/// The groups of rows. A row's group may be one that there is not.
struct Groups<F> {
    count: usize,
    of_row: F,
}

impl<F: Fn(usize) -> usize> Groups<F> {
    fn of(&self, row: usize) -> usize {
        (self.of_row)(row)
    }
}

fn no_such_group(kernel: &Kernel<'_>, groups: usize) -> Refusal {
    kernel.misuse(format!("a row's group that is not among the {groups} that there are"))
}

/// One row for each group.
fn reduced(
    kernel: &mut Kernel<'_>,
    column: &ArrayRef,
    reduction: Reduction,
    groups: Groups<impl Fn(usize) -> usize>,
) -> Result<ArrayRef, Refusal> {
    let kind = kind_of(column)?;
    match (reduction, kind) {
        (Reduction::Count, _) => {
            let mut counts = vec![0_i64; groups.count];
            let nulls = column.nulls();
            for row in 0..column.len() {
                kernel.at_row(row)?;
                let count = counts.get_mut(groups.of(row)).ok_or_else(|| no_such_group(kernel, groups.count))?;
                *count += i64::from(nulls.is_none_or(|nulls| nulls.is_valid(row)));
            }
            Ok(Arc::new(Int64Array::from(counts)))
        }
        (Reduction::Sum, ValueType::BigInt) => folded::<Int64Type>(kernel, column, groups, i64::wrapping_add),
        (Reduction::Sum, ValueType::Double) => {
            let sums = folded::<Float64Type>(kernel, column, groups, |sum, value| sum + value)?;
            Ok(Arc::new(sums.as_primitive::<Float64Type>().unary::<_, Float64Type>(one_nan)))
        }
        (Reduction::Sum, _) => Err(kernel.misuse(format!("a column of {kind}, which has no sum"))),
        (Reduction::Min, _) => extremes(kernel, column, groups, Ordering::Less),
        (Reduction::Max, _) => extremes(kernel, column, groups, Ordering::Greater),
    }
}

/// The values of each group's rows in one.
fn folded<T: ArrowPrimitiveType>(
    kernel: &mut Kernel<'_>,
    column: &ArrayRef,
    groups: Groups<impl Fn(usize) -> usize>,
    fold: impl Fn(T::Native, T::Native) -> T::Native,
) -> Result<ArrayRef, Refusal> {
    let column = column.as_primitive::<T>();
    let nulls = column.nulls();
    let (mut folds, mut present) = (vec![T::Native::default(); groups.count], vec![false; groups.count]);
    for (row, value) in column.values().iter().enumerate() {
        kernel.at_row(row)?;
        let group = groups.of(row);
        let before = folds.get_mut(group).zip(present.get_mut(group));
        let (before, present) = before.ok_or_else(|| no_such_group(kernel, groups.count))?;
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            *before = if *present { fold(*before, *value) } else { *value };
            *present = true;
        }
    }
    let nulls = NullBuffer::new(BooleanBuffer::from(present));
    Ok(Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(folds), Some(nulls))))
}

/// The value that comes before all others in an order.
fn extremes(
    kernel: &mut Kernel<'_>,
    column: &ArrayRef,
    groups: Groups<impl Fn(usize) -> usize>,
    wanted: Ordering,
) -> Result<ArrayRef, Refusal> {
    match kind_of(column)? {
        ValueType::BigInt => extreme_numbers::<Int64Type>(kernel, column, groups, wanted),
        ValueType::Double => extreme_numbers::<Float64Type>(kernel, column, groups, wanted),
        ValueType::Date => extreme_numbers::<Date32Type>(kernel, column, groups, wanted),
        _ => extreme_rows(kernel, column, groups, wanted),
    }
}

fn extreme_numbers<T: ArrowPrimitiveType>(
    kernel: &mut Kernel<'_>,
    column: &ArrayRef,
    groups: Groups<impl Fn(usize) -> usize>,
    wanted: Ordering,
) -> Result<ArrayRef, Refusal> {
    if wanted.is_lt() {
        folded::<T>(kernel, column, groups, |best, value| if value.is_lt(best) { value } else { best })
    } else {
        folded::<T>(kernel, column, groups, |best, value| if value.is_gt(best) { value } else { best })
    }
}

/// Of values that are compared where they lie.
fn extreme_rows(
    kernel: &mut Kernel<'_>,
    column: &ArrayRef,
    groups: Groups<impl Fn(usize) -> usize>,
    wanted: Ordering,
) -> Result<ArrayRef, Refusal> {
    let compare = make_comparator(column, column, SortOptions::default()).map_err(|error| kernel.arrow(&error))?;
    let mut best = vec![NONE; groups.count];
    for row in 0..column.len() {
        kernel.at_row(row)?;
        let best = best.get_mut(groups.of(row)).ok_or_else(|| no_such_group(kernel, groups.count))?;
        if column.is_valid(row) && (*best == NONE || compare(row, *best as usize) == wanted) {
            *best = row as u32;
        }
    }
    let rows: UInt32Array = best.into_iter().map(|row| (row != NONE).then_some(row)).collect();
    take(column, &rows, None).map_err(|error| kernel.arrow(&error))
}
