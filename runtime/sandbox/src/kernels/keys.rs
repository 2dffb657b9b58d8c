//! Rows as bytes, so that rows that are equal in all columns have equal bytes.
//!
//! Each column of a row is one byte, 0 for no value and 1 for one, and then the value: 8 bytes of a bigint or double, 4
//! of a date, 1 of a boolean, the length of a text or of bytes as 8 bytes and then it itself. Numbers are
//! little-endian. [`hash`](super::group::hash) is of these bytes, which is why they never change.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type};

use super::context::{Kernel, rows_of};
use crate::ValueType;
use crate::frame::{bytes_of, kind_of};
use crate::refusal::Refusal;

/// Bytes that a row of one column takes beyond its value's.
const KEY_BYTES: usize = 17;

/// A single column whose rows all have a value is told apart by its values as they are.
pub(super) enum Plain<'a> {
    BigInt(&'a [i64]),
    Text(&'a StringArray),
}

impl<'a> Plain<'a> {
    pub(super) fn of(columns: &'a [ArrayRef]) -> Option<Self> {
        let [column] = columns else { return None };
        if column.null_count() > 0 {
            return None;
        }
        match column.data_type() {
            DataType::Int64 => Some(Self::BigInt(column.as_primitive::<Int64Type>().values())),
            DataType::Utf8 => Some(Self::Text(column.as_string())),
            _ => None,
        }
    }
}

/// The rows of some columns.
pub(super) struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    has_null: Vec<bool>,
}

enum Column<'a> {
    BigInt(&'a [i64]),
    Double(&'a [f64]),
    Date(&'a [i32]),
    Boolean(&'a BooleanArray),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Column<'a> {
    fn new(array: &'a ArrayRef) -> Result<Self, Refusal> {
        Ok(match kind_of(array)? {
            ValueType::BigInt => Self::BigInt(array.as_primitive::<Int64Type>().values()),
            ValueType::Double => Self::Double(array.as_primitive::<Float64Type>().values()),
            ValueType::Date => Self::Date(array.as_primitive::<Date32Type>().values()),
            ValueType::Boolean => Self::Boolean(array.as_boolean()),
            ValueType::Text => Self::Text(array.as_string::<i32>()),
            ValueType::Bytes => Self::Bytes(array.as_binary::<i32>()),
        })
    }

    fn write(&self, row: usize, bytes: &mut Vec<u8>) {
        let run = |run: &[u8], bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(&(run.len() as u64).to_le_bytes());
            bytes.extend_from_slice(run);
        };
        match self {
            Self::BigInt(values) => bytes.extend_from_slice(&values[row].to_le_bytes()),
            Self::Double(values) => bytes.extend_from_slice(&values[row].to_bits().to_le_bytes()),
            Self::Date(values) => bytes.extend_from_slice(&values[row].to_le_bytes()),
            Self::Boolean(values) => bytes.push(u8::from(values.value(row))),
            Self::Text(texts) => run(texts.value(row).as_bytes(), bytes),
            Self::Bytes(runs) => run(runs.value(row), bytes),
        }
    }
}

impl Keys {
    /// The rows of columns, which have the same length.
    pub(super) fn new(kernel: &mut Kernel<'_>, columns: &[ArrayRef]) -> Result<Self, Refusal> {
        let rows = rows_of(columns);
        let work = columns.iter().map(|column| bytes_of(column).saturating_add(rows.saturating_mul(KEY_BYTES)));
        let work = work.fold(0, usize::saturating_add);
        kernel.admit(work)?;
        let written = columns.iter().map(Column::new).collect::<Result<Vec<_>, _>>()?;
        let mut keys = Self {
            bytes: Vec::with_capacity(work),
            ends: Vec::with_capacity(rows),
            has_null: Vec::with_capacity(rows),
        };
        for row in 0..rows {
            kernel.at_row(row)?;
            let mut has_null = false;
            for (array, column) in columns.iter().zip(&written) {
                let present = array.is_valid(row);
                keys.bytes.push(u8::from(present));
                if present {
                    column.write(row, &mut keys.bytes);
                }
                has_null |= !present;
            }
            keys.ends.push(keys.bytes.len());
            keys.has_null.push(has_null);
        }
        Ok(keys)
    }

    /// The bytes of a row.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[row]]
    }

    /// Whether any column of a row has no value.
    pub(super) fn has_null(&self, row: usize) -> bool {
        self.has_null[row]
    }
}
