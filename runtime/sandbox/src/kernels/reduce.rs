//! Many rows to one value.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray, UInt32Array, make_comparator,
};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{ArrowNativeTypeOp, Float64Type, Int64Type};

use super::context::Kernel;
use super::types::Reduction;
use crate::frame::kind_of;
use crate::refusal::Refusal;
use crate::{Value, ValueType};

/// No row yet.
const NONE: u32 = u32::MAX;

pub(super) fn reduce(kernel: &mut Kernel<'_>, column: u32, reduction: Reduction) -> Result<Value, Refusal> {
    let column = kernel.column(column)?;
    let answer = reduced(kernel, &column, reduction, 1, |_| 0)?;
    // One group makes one row, of a type that the columns of a call have.
    Ok(Value::at(&answer, 0).unwrap_or(Value::Null))
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
    let is_group = |group: i64| usize::try_from(group).is_ok_and(|group| group < groups);
    if group_of_row.null_count() > 0 || !group_of_row.values().iter().all(|group| is_group(*group)) {
        return Err(kernel.misuse(format!("a row's group that is not among the {groups} that there are")));
    }
    let group_of_row = group_of_row.values();
    let answer = reduced(kernel, &column, reduction, groups, |row| group_of_row[row] as usize)?;
    kernel.add(answer)
}

/// One row for each group; `group_of_row` is below `groups` for every row.
fn reduced(
    kernel: &mut Kernel<'_>,
    column: &ArrayRef,
    reduction: Reduction,
    groups: usize,
    group_of_row: impl Fn(usize) -> usize,
) -> Result<ArrayRef, Refusal> {
    let kind = kind_of(column)?;
    match (reduction, kind) {
        (Reduction::Count, _) => {
            let mut counts = vec![0_i64; groups];
            for row in 0..column.len() {
                kernel.at_row(row)?;
                counts[group_of_row(row)] += i64::from(column.is_valid(row));
            }
            Ok(Arc::new(Int64Array::from(counts)))
        }
        (Reduction::Sum, ValueType::BigInt) => {
            sums(kernel, column.as_primitive::<Int64Type>(), groups, group_of_row, i64::wrapping_add)
        }
        (Reduction::Sum, ValueType::Double) => {
            let add = |left: f64, right: f64| super::context::one_nan(left + right);
            sums(kernel, column.as_primitive::<Float64Type>(), groups, group_of_row, add)
        }
        (Reduction::Sum, _) => Err(kernel.misuse(format!("a column of {kind}, which has no sum"))),
        (Reduction::Min, _) => extremes(kernel, column, groups, group_of_row, Ordering::Less),
        (Reduction::Max, _) => extremes(kernel, column, groups, group_of_row, Ordering::Greater),
    }
}

fn sums<T: ArrowPrimitiveType>(
    kernel: &mut Kernel<'_>,
    column: &PrimitiveArray<T>,
    groups: usize,
    group_of_row: impl Fn(usize) -> usize,
    add: impl Fn(T::Native, T::Native) -> T::Native,
) -> Result<ArrayRef, Refusal>
where
    T::Native: ArrowNativeTypeOp,
{
    let mut sums = vec![None; groups];
    for (row, value) in column.iter().enumerate() {
        kernel.at_row(row)?;
        if let Some(value) = value {
            let sum = &mut sums[group_of_row(row)];
            *sum = Some(sum.map_or(value, |sum| add(sum, value)));
        }
    }
    Ok(Arc::new(sums.into_iter().collect::<PrimitiveArray<T>>()))
}

/// The first of the rows that come before all others in an order.
fn extremes(
    kernel: &mut Kernel<'_>,
    column: &ArrayRef,
    groups: usize,
    group_of_row: impl Fn(usize) -> usize,
    wanted: Ordering,
) -> Result<ArrayRef, Refusal> {
    let compare = make_comparator(column, column, SortOptions::default()).map_err(|error| kernel.arrow(&error))?;
    let mut best = vec![NONE; groups];
    for row in 0..column.len() {
        kernel.at_row(row)?;
        if column.is_null(row) {
            continue;
        }
        let best = &mut best[group_of_row(row)];
        if *best == NONE || compare(row, *best as usize) == wanted {
            *best = row as u32;
        }
    }
    let rows: UInt32Array = best.into_iter().map(|row| (row != NONE).then_some(row)).collect();
    take(column, &rows, None).map_err(|error| kernel.arrow(&error))
}
