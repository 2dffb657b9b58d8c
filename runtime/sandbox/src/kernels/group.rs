//! Rows that are equal in all keys.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::Int64Array;
use twox_hash::XxHash3_64;

use super::context::{Kernel, numbers};
use super::keys::Keys;
use super::types::Grouping;
use crate::refusal::Refusal;

/// XXH3 of 64 bits, without a seed, of the bytes that [`Keys`] describes.
pub(super) fn hash(kernel: &mut Kernel<'_>, columns: &[u32]) -> Result<u32, Refusal> {
    let columns = kernel.columns(columns)?;
    let keys = Keys::new(kernel, &columns)?;
    let mut hashes = Vec::with_capacity(keys.rows());
    for (row, (bytes, _)) in keys.iter().enumerate() {
        kernel.at_row(row)?;
        hashes.push(XxHash3_64::oneshot(bytes).cast_signed());
    }
    kernel.add(Arc::new(Int64Array::from(hashes)))
}

pub(super) fn group(kernel: &mut Kernel<'_>, keys: &[u32]) -> Result<Grouping, Refusal> {
    let columns = kernel.columns(keys)?;
    let keys = Keys::new(kernel, &columns)?;
    kernel.admit(keys.rows().saturating_mul(16))?;
    let mut group_of_key = HashMap::new();
    let (mut group_of_row, mut first_row) = (Vec::with_capacity(keys.rows()), Vec::<u32>::new());
    for (row, (bytes, _)) in keys.iter().enumerate() {
        kernel.at_row(row)?;
        let next = first_row.len() as u32;
        let group = *group_of_key.entry(bytes).or_insert(next);
        if group == next {
            first_row.push(row as u32);
        }
        group_of_row.push(group);
    }
    let groups = first_row.len() as u32;
    Ok(Grouping {
        groups,
        group_of_row: kernel.add(numbers(group_of_row))?,
        first_row: kernel.add(numbers(first_row))?,
    })
}
