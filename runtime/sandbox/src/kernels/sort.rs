//! The order of rows.

use arrow::array::Array;
use arrow::compute::SortOptions;
use arrow::row::{RowConverter, Rows, SortField};

use super::context::{Kernel, ROWS_BETWEEN_LOOKS, numbers, rows_of};
use super::types::SortKey;
use crate::frame::bytes_of;
use crate::refusal::Refusal;

/// Bytes that a row of one key takes in a form that sorts, beyond its value's.
const KEY_BYTES: usize = 40;

pub(super) fn sort(kernel: &mut Kernel<'_>, keys: &[SortKey]) -> Result<u32, Refusal> {
    let columns = kernel.columns(&keys.iter().map(|key| key.column).collect::<Vec<_>>())?;
    let rows = rows_of(&columns);
    let work = columns.iter().map(|column| bytes_of(column).saturating_add(rows.saturating_mul(KEY_BYTES)));
    kernel.admit(work.fold(rows.saturating_mul(16), usize::saturating_add))?;
    let fields = columns.iter().zip(keys).map(|(column, key)| {
        let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
        SortField::new_with_options(column.data_type().clone(), options)
    });
    let converter = RowConverter::new(fields.collect()).map_err(|error| kernel.arrow(&error))?;
    let encoded = converter.convert_columns(&columns).map_err(|error| kernel.arrow(&error))?;
    let count = u32::try_from(rows).map_err(|_| kernel.misuse("more rows than a column may have".to_owned()))?;
    let order = sorted(kernel, &encoded, (0..count).collect())?;
    kernel.add(numbers(&order))
}

/// Sorts in runs that grow, so that the clock is looked at on the way. Stable.
fn sorted(kernel: &mut Kernel<'_>, rows: &Rows, mut order: Vec<u32>) -> Result<Vec<u32>, Refusal> {
    let compare = |left: u32, right: u32| rows.row(left as usize).cmp(&rows.row(right as usize)).then(left.cmp(&right));
    for run in order.chunks_mut(ROWS_BETWEEN_LOOKS) {
        run.sort_unstable_by(|left, right| compare(*left, *right));
        kernel.at_row(0)?;
    }
    let mut length = ROWS_BETWEEN_LOOKS;
    let mut merged = Vec::with_capacity(order.len());
    while length < order.len() {
        merged.clear();
        for pair in order.chunks(length.saturating_mul(2)) {
            let (mut left, mut right) = pair.split_at(length.min(pair.len()));
            while let (Some(first), Some(second)) = (left.first(), right.first()) {
                let side = if compare(*first, *second).is_le() { &mut left } else { &mut right };
                if let Some((next, rest)) = side.split_first() {
                    merged.push(*next);
                    *side = rest;
                }
                kernel.at_row(merged.len())?;
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(&mut order, &mut merged);
        length = length.saturating_mul(2);
    }
    Ok(order)
}
