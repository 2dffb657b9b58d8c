//! Rows, as they are added to what is kept.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result};
use domicile_policy::mark;

use super::column::{Column, float};
use super::kept::Kept;
use super::layout::{Columns, Condition, Layout, Number, ROWS, VersionOf};
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
    let at = kept.at.clone();
    let (entries, all) = kept.entries_for(&entities, groups)?;
    all[ROWS].add_words(&entries, std::iter::repeat_n(1, rows));
    let mut marks = Vec::with_capacity(layout.versions.len());
    for of in &layout.versions {
        let (own, others) = versions.split_at(of.columns());
        versions = others;
        marks.push(marks_of(*of, own, key, rows)?);
    }
    for (number, condition) in layout.conditions.iter().enumerate() {
        let unmet = unmet(*condition, values.get(condition.column).ok_or_else(missing)?)?;
        all[at.missing(number)].add_words(&entries, unmet.iter().copied().map(u64::from));
        for (version, marks) in marks.iter().enumerate() {
            let missing = unmet.iter().zip(marks).map(|(unmet, mark)| if *unmet { *mark } else { 0 });
            all[at.missing_marks(number, version)].add_words(&entries, missing);
        }
    }
    for (version, marks) in marks.into_iter().enumerate() {
        all[at.marks(version)].add_words(&entries, marks.into_iter());
    }
    for (number, sum) in layout.sums.iter().enumerate() {
        let column = values.get(sum.column).ok_or_else(missing)?;
        match sum.number {
            Number::Whole { .. } => add_wholes(all, &at, number, column, &entries)?,
            Number::Float => add_floats(all, &at, number, column, &entries)?,
        }
    }
    kept.settle_if_full();
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

/// Which rows do not meet a condition.
fn unmet(condition: Condition, column: &ArrayRef) -> Result<Vec<bool>> {
    let nulls = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let rows = 0..column.len();
    if !condition.not_zero {
        return Ok(rows.map(is_null).collect());
    }
    Ok(match column.data_type() {
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            rows.map(|row| values[row] == 0 || is_null(row)).collect()
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            rows.map(|row| values[row] == 0.0 || is_null(row)).collect()
        }
        DataType::Float32 => return unmet(condition, &cast(column, &DataType::Float64)?),
        _ => {
            let values = cast(column, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>().values();
            rows.map(|row| values[row] == 0 || is_null(row)).collect()
        }
    })
}

fn add_wholes(all: &mut [Column], at: &Columns, sum: usize, column: &ArrayRef, entries: &[u32]) -> Result<()> {
    if let Some(decimals) = column.as_primitive_opt::<Decimal128Type>() {
        add_numbers(all, at, sum, numbers(decimals), entries);
        return Ok(());
    }
    let column = cast(column, &DataType::Int64)?;
    add_numbers(all, at, sum, numbers(column.as_primitive::<Int64Type>()).map(i128::from), entries);
    Ok(())
}

fn add_floats(all: &mut [Column], at: &Columns, sum: usize, column: &ArrayRef, entries: &[u32]) -> Result<()> {
    let column = cast(column, &DataType::Float64)?;
    let floats = || numbers(column.as_primitive::<Float64Type>());
    all[at.gross(sum)].add_floats(entries, floats().map(f64::abs));
    if let Some(net) = at.net(sum) {
        all[net].add_floats(entries, floats());
    }
    Ok(())
}

fn add_numbers(
    all: &mut [Column],
    at: &Columns,
    sum: usize,
    numbers: impl Iterator<Item = i128> + Clone,
    entries: &[u32],
) {
    all[at.gross(sum)].add_floats(entries, numbers.clone().map(|number| float(number).abs()));
    if let Some(net) = at.net(sum) {
        all[net].add_wholes(entries, numbers);
    }
}

/// The numbers of a column; where there is none, nothing is added.
fn numbers<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>) -> impl Iterator<Item = T::Native> + Clone + '_ {
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    let number = move |(row, number): (usize, &T::Native)| {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) { *number } else { T::Native::default() }
    };
    column.values().iter().enumerate().map(number)
}
