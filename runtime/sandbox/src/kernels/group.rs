//! Rows that are equal in all keys.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::Int64Array;
use hashbrown::HashMap;
use twox_hash::XxHash3_64;

use super::context::{Kernel, numbers, rows_of};
use super::keys::{Keys, Plain};
use super::types::Grouping;
use crate::refusal::Refusal;

/// Bytes of a row in the table of keys and in the answer, at most.
const ROW_BYTES: usize = 64;
/// Not yet a group.
const NONE: u32 = u32::MAX;
/// Numbers are dense where there are less than so many of them, present or not, for each row.
const DENSITY: i64 = 4;

/// XXH3 of 64 bits, without a seed, of the bytes that [`Keys`] describes.
pub(super) fn hash(kernel: &mut Kernel<'_>, columns: &[u32]) -> Result<u32, Refusal> {
    let columns = kernel.columns(columns)?;
    let keys = Keys::new(kernel, &columns)?;
    let rows = rows_of(&columns);
    let mut hashes = Vec::with_capacity(rows);
    for row in 0..rows {
        kernel.at_row(row)?;
        hashes.push(XxHash3_64::oneshot(keys.row(row)).cast_signed());
    }
    kernel.add(Arc::new(Int64Array::from(hashes)))
}

pub(super) fn group(kernel: &mut Kernel<'_>, keys: &[u32]) -> Result<Grouping, Refusal> {
    let columns = kernel.columns(keys)?;
    let rows = rows_of(&columns);
    kernel.admit(rows.saturating_mul(ROW_BYTES))?;
    match Plain::of(&columns) {
        Some(Plain::BigInt(values)) => match lowest_of_dense(values) {
            Some(lowest) => grouped_dense(kernel, values, lowest),
            None => grouped(kernel, rows, |row| values[row]),
        },
        Some(Plain::Text(texts)) => grouped(kernel, rows, |row| texts.value(row)),
        None => {
            let keys = Keys::new(kernel, &columns)?;
            grouped(kernel, rows, |row| keys.row(row))
        }
    }
}

/// The lowest of numbers that lie so close together that a table of all between them is not much larger than they are.
fn lowest_of_dense(values: &[i64]) -> Option<i64> {
    let (lowest, highest) =
        values.iter().fold((i64::MAX, i64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    (highest.checked_sub(lowest)? < DENSITY * values.len() as i64).then_some(lowest)
}

fn grouped_dense(kernel: &mut Kernel<'_>, values: &[i64], lowest: i64) -> Result<Grouping, Refusal> {
    let mut group_of_number = vec![NONE; values.len().saturating_mul(DENSITY as usize)];
    let (mut group_of_row, mut first_row) = (Vec::with_capacity(values.len()), Vec::<u32>::new());
    for (row, value) in values.iter().enumerate() {
        kernel.at_row(row)?;
        let group = &mut group_of_number[(value - lowest) as usize];
        if *group == NONE {
            *group = first_row.len() as u32;
            first_row.push(row as u32);
        }
        group_of_row.push(i64::from(*group));
    }
    grouping(kernel, group_of_row, &first_row)
}

fn grouped<K: Eq + Hash>(kernel: &mut Kernel<'_>, rows: usize, key: impl Fn(usize) -> K) -> Result<Grouping, Refusal> {
    let mut group_of_key = HashMap::new();
    let (mut group_of_row, mut first_row) = (Vec::with_capacity(rows), Vec::<u32>::new());
    for row in 0..rows {
        kernel.at_row(row)?;
        let next = first_row.len() as u32;
        let group = *group_of_key.entry(key(row)).or_insert(next);
        if group == next {
            first_row.push(row as u32);
        }
        group_of_row.push(i64::from(group));
    }
    grouping(kernel, group_of_row, &first_row)
}

fn grouping(kernel: &mut Kernel<'_>, group_of_row: Vec<i64>, first_row: &[u32]) -> Result<Grouping, Refusal> {
    Ok(Grouping {
        groups: first_row.len() as u32,
        group_of_row: kernel.add(Arc::new(Int64Array::from(group_of_row)))?,
        first_row: kernel.add(numbers(first_row))?,
    })
}
