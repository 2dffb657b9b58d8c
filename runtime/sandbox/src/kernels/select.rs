//! Choosing rows, and putting columns one after another.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::{FilterBuilder, concat};
use domicile_types::limits::PLUGIN_COLUMNS_MAX;

use super::context::{Kernel, rows_of};
use crate::ValueType;
use crate::frame::{bytes_of, kind_of};
use crate::refusal::Refusal;

pub(super) fn filter(kernel: &mut Kernel<'_>, columns: &[u32], mask: u32) -> Result<Vec<u32>, Refusal> {
    let (columns, mask) = (kernel.columns(columns)?, kernel.booleans(mask)?);
    columns.iter().try_for_each(|column| kernel.same_rows(mask.len(), column.len()))?;
    let builder = FilterBuilder::new(&mask);
    let predicate = if columns.len() > 1 { builder.optimize().build() } else { builder.build() };
    let mut answer = Vec::with_capacity(columns.len());
    for column in columns {
        let filtered = predicate.filter(&column).map_err(|error| kernel.arrow(&error))?;
        answer.push(kernel.add(filtered)?);
        kernel.at_row(0)?;
    }
    Ok(answer)
}

pub(super) fn take(kernel: &mut Kernel<'_>, columns: &[u32], rows: u32) -> Result<Vec<u32>, Refusal> {
    let (columns, rows) = (kernel.columns(columns)?, kernel.bigints(rows)?);
    let length = rows_of(&columns);
    let is_row = |row: i64| usize::try_from(row).is_ok_and(|row| row < length);
    if !rows.iter().flatten().all(is_row) {
        return Err(kernel.misuse(format!("a row number that is not among the {length} that there are")));
    }
    let mut answer = Vec::with_capacity(columns.len());
    for column in columns {
        kernel.admit(taken_bytes(&column, &rows)?)?;
        let taken = arrow::compute::take(&column, &rows, None).map_err(|error| kernel.arrow(&error))?;
        answer.push(kernel.add(taken)?);
        kernel.at_row(0)?;
    }
    Ok(answer)
}

/// Bytes of the rows of a column that are taken: a long text can be taken many times.
fn taken_bytes(column: &ArrayRef, rows: &Int64Array) -> Result<usize, Refusal> {
    let offsets = match kind_of(column)? {
        ValueType::Text => column.as_string::<i32>().value_offsets(),
        ValueType::Bytes => column.as_binary::<i32>().value_offsets(),
        _ => return Ok(rows.len() * 9),
    };
    let length = |row: i64| {
        let row = usize::try_from(row).unwrap_or(usize::MAX - 1);
        let bytes = offsets.get(row + 1).zip(offsets.get(row)).map_or(0, |(end, start)| end - start);
        usize::try_from(bytes).unwrap_or_default()
    };
    Ok(rows.iter().flatten().map(length).fold(rows.len() * 5, usize::saturating_add))
}

pub(super) fn concatenate(kernel: &mut Kernel<'_>, columns: &[u32]) -> Result<u32, Refusal> {
    if columns.is_empty() || columns.len() > PLUGIN_COLUMNS_MAX {
        return Err(kernel.misuse(format!("{} columns, from 1 to {PLUGIN_COLUMNS_MAX} are accepted", columns.len())));
    }
    let mut bytes = 0_usize;
    let mut arrays = Vec::with_capacity(columns.len());
    for number in columns {
        // Looked at one by one: the same column can be named many times.
        let array = kernel.column(*number)?;
        bytes = bytes.saturating_add(bytes_of(&array));
        kernel.admit(bytes)?;
        arrays.push(array);
    }
    if arrays.windows(2).any(|pair| matches!(pair, [left, right] if left.data_type() != right.data_type())) {
        return Err(kernel.misuse("columns of different types".to_owned()));
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
    let answer = concat(&arrays).map_err(|error| kernel.arrow(&error))?;
    kernel.add(answer)
}
