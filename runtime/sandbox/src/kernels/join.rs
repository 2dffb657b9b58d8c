//! Rows of two tables that are equal in all keys.

use std::collections::HashMap;

use arrow::array::Array;

use super::context::{Kernel, numbers};
use super::keys::Keys;
use super::types::Pairs;
use crate::refusal::Refusal;

/// No row comes after.
const NONE: u32 = u32::MAX;

/// The right rows with one key: the first, and how many there are.
struct Chain {
    first: u32,
    rows: usize,
}

pub(super) fn join(kernel: &mut Kernel<'_>, left: &[u32], right: &[u32]) -> Result<Pairs, Refusal> {
    let (left, right) = (kernel.columns(left)?, kernel.columns(right)?);
    let types = |columns: &[arrow::array::ArrayRef]| {
        columns.iter().map(|column| column.data_type().clone()).collect::<Vec<_>>()
    };
    if types(&left) != types(&right) {
        return Err(kernel.misuse("keys of different types".to_owned()));
    }
    let (left, right) = (Keys::new(kernel, &left)?, Keys::new(kernel, &right)?);
    let mut chains = HashMap::<&[u8], Chain>::new();
    let mut after = vec![NONE; right.rows()];
    for (row, (key, has_null)) in right.iter().enumerate().rev() {
        kernel.at_row(row)?;
        if has_null {
            continue;
        }
        let chain = chains.entry(key).or_insert(Chain { first: NONE, rows: 0 });
        after[row] = chain.first;
        *chain = Chain { first: row as u32, rows: chain.rows + 1 };
    }
    let found = |key: &[u8], has_null: bool| if has_null { None } else { chains.get(key) };
    let mut pairs = 0_usize;
    for (row, (key, has_null)) in left.iter().enumerate() {
        kernel.at_row(row)?;
        pairs = pairs.saturating_add(found(key, has_null).map_or(0, |chain| chain.rows));
    }
    kernel.admit(pairs.saturating_mul(24))?;
    let (mut lefts, mut rights) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
    for (row, (key, has_null)) in left.iter().enumerate() {
        let mut next = found(key, has_null).map_or(NONE, |chain| chain.first);
        while next != NONE {
            kernel.at_row(lefts.len())?;
            lefts.push(row as u32);
            rights.push(next);
            next = after[next as usize];
        }
    }
    Ok(Pairs { left: kernel.add(numbers(lefts))?, right: kernel.add(numbers(rights))? })
}
