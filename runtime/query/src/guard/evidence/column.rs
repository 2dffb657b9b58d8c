//! Columns of what is kept: counts and marks, whole numbers, floats.

use std::ops::Add;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, UInt64Array};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float64Type, UInt64Type};
use datafusion::common::{DataFusionError, Result};

/// What a column is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Counts, or sums of marks, which wrap around.
    Words,
    /// Sums of whole numbers, or of a decimal's digits.
    Wholes,
    Floats,
}

impl Kind {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Words => DataType::UInt64,
            Self::Wholes => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
            Self::Floats => DataType::Float64,
        }
    }
}

/// One number of each entry.
#[derive(Debug)]
pub(super) enum Column {
    Words(Vec<u64>),
    Wholes(Vec<i128>),
    Floats(Vec<f64>),
}

impl Column {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Words => Self::Words(Vec::new()),
            Kind::Wholes => Self::Wholes(Vec::new()),
            Kind::Floats => Self::Floats(Vec::new()),
        }
    }

    /// Nothing in entries that are new.
    pub(super) fn resize(&mut self, entries: usize) {
        match self {
            Self::Words(words) => words.resize(entries, 0),
            Self::Wholes(wholes) => wholes.resize(entries, 0),
            Self::Floats(floats) => floats.resize(entries, 0.0),
        }
    }

    /// Adds counts or marks to these entries, where it is of such.
    pub(super) fn add_words(&mut self, entries: &[u32], words: impl Iterator<Item = u64>) {
        if let Self::Words(all) = self {
            entries
                .iter()
                .zip(words)
                .for_each(|(entry, word)| all[*entry as usize] = all[*entry as usize].wrapping_add(word));
        }
    }

    /// Adds whole numbers to these entries, where it is of such.
    pub(super) fn add_wholes(&mut self, entries: &[u32], wholes: impl Iterator<Item = i128>) {
        if let Self::Wholes(all) = self {
            let add = |(entry, whole): (&u32, i128)| all[*entry as usize] = all[*entry as usize].wrapping_add(whole);
            entries.iter().zip(wholes).for_each(add);
        }
    }

    /// Adds floats to these entries, where it is of such.
    pub(super) fn add_floats(&mut self, entries: &[u32], floats: impl Iterator<Item = f64>) {
        if let Self::Floats(all) = self {
            entries.iter().zip(floats).for_each(|(entry, float)| all[*entry as usize] += float);
        }
    }

    /// Leaves, from the first entry on, the sums of those that `order` names, one sum up to each of the `ends`.
    pub(super) fn add_up(&mut self, first: usize, order: &[u32], ends: &[u32]) {
        match self {
            Self::Words(words) => add_up(words, first, order, ends, u64::wrapping_add),
            Self::Wholes(wholes) => add_up(wholes, first, order, ends, i128::wrapping_add),
            Self::Floats(floats) => add_up(floats, first, order, ends, f64::add),
        }
    }

    /// Its first entries as an array; they are gone then.
    pub(super) fn take(&mut self, entries: usize) -> ArrayRef {
        match self {
            Self::Words(words) => Arc::new(UInt64Array::from(taken(words, entries))),
            Self::Wholes(wholes) => {
                let array = Decimal128Array::from(taken(wholes, entries));
                Arc::new(array.with_data_type(Kind::Wholes.data_type()))
            }
            Self::Floats(floats) => Arc::new(Float64Array::from(taken(floats, entries))),
        }
    }

    /// Adds entries of an array that [`Self::take`] made.
    ///
    /// # Errors
    /// Where it made none of this kind.
    pub(super) fn extend(&mut self, array: &dyn Array, from: usize, to: usize) -> Result<()> {
        let other = || DataFusionError::Internal("a state of evidence with another column".to_owned());
        match self {
            Self::Words(words) => {
                words.extend_from_slice(&array.as_primitive_opt::<UInt64Type>().ok_or_else(other)?.values()[from..to])
            }
            Self::Wholes(wholes) => {
                let values = array.as_primitive_opt::<Decimal128Type>().ok_or_else(other)?.values();
                wholes.extend_from_slice(&values[from..to]);
            }
            Self::Floats(floats) => {
                floats.extend_from_slice(&array.as_primitive_opt::<Float64Type>().ok_or_else(other)?.values()[from..to])
            }
        }
        Ok(())
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Words(words) => words.capacity() * size_of::<u64>(),
            Self::Wholes(wholes) => wholes.capacity() * size_of::<i128>(),
            Self::Floats(floats) => floats.capacity() * size_of::<f64>(),
        }
    }
}

fn add_up<N: Copy + Default>(numbers: &mut Vec<N>, first: usize, order: &[u32], ends: &[u32], add: impl Fn(N, N) -> N) {
    let mut sums = Vec::with_capacity(ends.len());
    let mut start = 0;
    for end in ends {
        let mut sum = N::default();
        for entry in &order[start..*end as usize] {
            sum = add(sum, numbers[*entry as usize]);
        }
        sums.push(sum);
        start = *end as usize;
    }
    numbers.truncate(first);
    numbers.append(&mut sums);
}

/// A whole number as a float. Most are short, and these become one several times as fast.
pub(super) fn float(number: i128) -> f64 {
    i64::try_from(number).map_or_else(|_| number as f64, |short| short as f64)
}

/// The first of the numbers; the rest stays.
pub(super) fn taken<N>(numbers: &mut Vec<N>, count: usize) -> Vec<N> {
    let rest = numbers.split_off(count.min(numbers.len()));
    std::mem::replace(numbers, rest)
}
