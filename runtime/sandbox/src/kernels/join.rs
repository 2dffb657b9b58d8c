//! Rows of two tables that are equal in all keys.

use std::hash::Hash;

use arrow::array::{Array, ArrayRef};
use hashbrown::HashMap;

use super::context::{Kernel, numbers, rows_of};
use super::keys::{Keys, Plain};
use super::types::Pairs;
use crate::refusal::Refusal;

/// Bytes of a right row in the table of keys, at most.
const TABLE_BYTES: usize = 64;
/// No row comes after.
const NONE: u32 = u32::MAX;

/// The right rows with one key: the first, and how many there are.
#[derive(Clone, Copy)]
struct Chain {
    first: u32,
    rows: usize,
}

impl Chain {
    const EMPTY: Self = Self { first: NONE, rows: 0 };
}

pub(super) fn join(kernel: &mut Kernel<'_>, left: &[u32], right: &[u32]) -> Result<Pairs, Refusal> {
    let (left, right) = (kernel.columns(left)?, kernel.columns(right)?);
    if !left.iter().map(|column| column.data_type()).eq(right.iter().map(|column| column.data_type())) {
        return Err(kernel.misuse("keys of different types".to_owned()));
    }
    let rows = (rows_of(&left), rows_of(&right));
    kernel.admit(rows.0.saturating_mul(4).saturating_add(rows.1.saturating_mul(TABLE_BYTES)))?;
    match (Plain::of(&left), Plain::of(&right)) {
        (Some(Plain::BigInt(left)), Some(Plain::BigInt(right))) => {
            joined(kernel, rows, |row| Some(left[row]), |row| Some(right[row]))
        }
        (Some(Plain::Text(left)), Some(Plain::Text(right))) => {
            joined(kernel, rows, |row| Some(left.value(row)), |row| Some(right.value(row)))
        }
        _ => joined_by_bytes(kernel, rows, &left, &right),
    }
}

fn joined_by_bytes(
    kernel: &mut Kernel<'_>,
    rows: (usize, usize),
    left: &[ArrayRef],
    right: &[ArrayRef],
) -> Result<Pairs, Refusal> {
    let (left, right) = (Keys::new(kernel, left)?, Keys::new(kernel, right)?);
    joined(
        kernel,
        rows,
        |row| (!left.has_null(row)).then(|| left.row(row)),
        |row| (!right.has_null(row)).then(|| right.row(row)),
    )
}

/// The pairs, in the order of the left rows and then of the right ones. A row without a key equals none.
fn joined<K: Eq + Hash>(
    kernel: &mut Kernel<'_>,
    (left_rows, right_rows): (usize, usize),
    left: impl Fn(usize) -> Option<K>,
    right: impl Fn(usize) -> Option<K>,
) -> Result<Pairs, Refusal> {
    let mut chains = HashMap::<K, Chain>::new();
    let mut after = vec![NONE; right_rows];
    for row in (0..right_rows).rev() {
        kernel.at_row(row)?;
        if let Some(key) = right(row) {
            let chain = chains.entry(key).or_insert(Chain::EMPTY);
            after[row] = chain.first;
            *chain = Chain { first: row as u32, rows: chain.rows + 1 };
        }
    }
    let (mut firsts, mut pairs) = (Vec::with_capacity(left_rows), 0_usize);
    for row in 0..left_rows {
        kernel.at_row(row)?;
        let chain = left(row).and_then(|key| chains.get(&key).copied()).unwrap_or(Chain::EMPTY);
        firsts.push(chain.first);
        pairs = pairs.saturating_add(chain.rows);
    }
    kernel.admit(pairs.saturating_mul(24))?;
    let (mut lefts, mut rights) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
    for (row, first) in firsts.into_iter().enumerate() {
        let mut next = first;
        while next != NONE {
            kernel.at_row(lefts.len())?;
            lefts.push(row as u32);
            rights.push(next);
            next = after[next as usize];
        }
    }
    Ok(Pairs { left: kernel.add(numbers(&lefts))?, right: kernel.add(numbers(&rights))? })
}
