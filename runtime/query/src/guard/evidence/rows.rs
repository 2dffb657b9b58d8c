//! Rows, as they are added to what is kept.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result};
use domicile_policy::mark;

use super::kept::Kept;
use super::layout::{Condition, Layout, Number, ROWS, VersionOf, add_float, add_whole};
use crate::guard::MarkKey;

/// Adds rows of these groups.
///
/// # Errors
/// Where the columns are not those of the layout, or there are too many entities.
pub(super) fn add(
    kept: &mut Kept,
    layout: &Layout,
    key: MarkKey,
    columns: &[ArrayRef],
    groups: &[usize],
) -> Result<()> {
    let versions: usize = layout.versions.iter().map(|version| version.columns()).sum();
    let missing = || DataFusionError::Internal("evidence of other columns".to_owned());
    let ([entity], rest) = columns.split_at_checked(1).ok_or_else(missing)? else { return Err(missing()) };
    let (mut versions, values) = rest.split_at_checked(versions).ok_or_else(missing)?;
    let rows = entity.len();
    let entities = key.hashes(std::slice::from_ref(entity), rows)?;
    let slots = kept.slots_of(&entities, groups)?;
    let words = kept.words;
    let all = kept.all();
    slots.iter().for_each(|slot| all[slot + ROWS] += 1);
    let mut marks = Vec::with_capacity(layout.versions.len());
    for (version, of) in layout.versions.iter().enumerate() {
        let (own, others) = versions.split_at(of.columns());
        versions = others;
        let of_rows = marks_of(*of, own, key, rows)?;
        let at = words.marks(version);
        slots.iter().zip(&of_rows).for_each(|(slot, mark)| all[slot + at] = all[slot + at].wrapping_add(*mark));
        marks.push(of_rows);
    }
    for (number, condition) in layout.conditions.iter().enumerate() {
        let at = words.missing(number);
        for row in unmet(*condition, values.get(condition.column).ok_or_else(missing)?)? {
            let slot = &mut all[slots[row] + at..];
            slot[0] += 1;
            marks.iter().zip(&mut slot[1..]).for_each(|(marks, all)| *all = all.wrapping_add(marks[row]));
        }
    }
    for (number, sum) in layout.sums.iter().enumerate() {
        let column = values.get(sum.column).ok_or_else(missing)?;
        match sum.number {
            Number::Whole { .. } => add_wholes(kept, number, column, &slots)?,
            Number::Float => add_floats(kept, number, column, &slots)?,
        }
    }
    Ok(())
}

/// The marks of each row; none where a sum of them is of no rows.
fn marks_of(version: VersionOf, columns: &[ArrayRef], key: MarkKey, rows: usize) -> Result<Vec<u64>> {
    match (version, columns) {
        (VersionOf::Marks, [sums]) => {
            let sums = sums.as_primitive::<Int64Type>();
            Ok(sums.iter().map(|sum| sum.unwrap_or_default().cast_unsigned()).collect())
        }
        _ => Ok(key.hashes(columns, rows)?.into_iter().map(|hash| u64::from(mark(hash))).collect()),
    }
}

/// The rows that do not meet a condition.
fn unmet(condition: Condition, column: &ArrayRef) -> Result<Vec<usize>> {
    let nulls = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    if !condition.not_zero {
        let none = nulls.is_none();
        return Ok(if none { Vec::new() } else { (0..column.len()).filter(|row| is_null(*row)).collect() });
    }
    let rows = 0..column.len();
    Ok(match column.data_type() {
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            rows.filter(|row| values[*row] == 0 || is_null(*row)).collect()
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            rows.filter(|row| values[*row] == 0.0 || is_null(*row)).collect()
        }
        DataType::Float32 => return unmet(condition, &cast(column, &DataType::Float64)?),
        _ => {
            let values = cast(column, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>().values();
            rows.filter(|row| values[*row] == 0 || is_null(*row)).collect()
        }
    })
}

fn add_wholes(kept: &mut Kept, sum: usize, column: &ArrayRef, slots: &[usize]) -> Result<()> {
    if let Some(decimals) = column.as_primitive_opt::<Decimal128Type>() {
        add_exact(kept, sum, decimals, slots, |row| decimals.values()[row]);
        return Ok(());
    }
    let column = cast(column, &DataType::Int64)?;
    let column = column.as_primitive::<Int64Type>();
    add_exact(kept, sum, column, slots, |row| i128::from(column.values()[row]));
    Ok(())
}

fn add_exact(kept: &mut Kept, sum: usize, column: &dyn Array, slots: &[usize], number: impl Fn(usize) -> i128) {
    let unsigned = |number: i128| number.unsigned_abs() as f64;
    add_numbers(kept, sum, column, slots, number, |number| number < 0, add_whole, unsigned);
}

fn add_floats(kept: &mut Kept, sum: usize, column: &ArrayRef, slots: &[usize]) -> Result<()> {
    let column = cast(column, &DataType::Float64)?;
    let column = column.as_primitive::<Float64Type>();
    let number = |row: usize| column.values()[row];
    // What is no number is neither below zero nor above.
    add_numbers(kept, sum, column, slots, number, |number: f64| number < 0.0 || number.is_nan(), add_float, f64::abs);
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "one loop for two kinds of numbers")]
fn add_numbers<N: Copy>(
    kept: &mut Kept,
    sum: usize,
    column: &dyn Array,
    slots: &[usize],
    number: impl Fn(usize) -> N,
    is_signed: impl Fn(N) -> bool,
    add: impl Fn(&mut [u64], usize, N),
    unsigned: impl Fn(N) -> f64,
) {
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    let is_there = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
    if !kept.is_signed(sum) && (0..slots.len()).any(|row| is_there(row) && is_signed(number(row))) {
        kept.sign(sum);
    }
    let (at, gross) = (kept.words.sum(sum), kept.is_signed(sum).then(|| kept.words.gross(sum)));
    let all = kept.all();
    for (row, slot) in slots.iter().enumerate() {
        if is_there(row) {
            let number = number(row);
            add(all, slot + at, number);
            if let Some(gross) = gross {
                add_float(all, slot + gross, unsigned(number));
            }
        }
    }
}
