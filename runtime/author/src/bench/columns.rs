//! What a benchmark calls a plugin with: columns that were given, or made from a seed.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type};
use domicile_sandbox::{Field, ValueType};

use crate::AuthorError;
use crate::files::LocalRows;

/// Numbers without much structure, the same for the same seed (SplitMix64).
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A column without nulls: bigints and doubles up to 100,000, dates of ten years, texts of 4 to 19 letters.
    fn column(&mut self, kind: ValueType, rows: usize) -> ArrayRef {
        match kind {
            ValueType::BigInt => Arc::new(Int64Array::from_iter_values((0..rows).map(|_| self.below(100_000) as i64))),
            ValueType::Double => {
                Arc::new(Float64Array::from_iter_values((0..rows).map(|_| self.below(10_000_000) as f64 / 100.0)))
            }
            ValueType::Date => {
                Arc::new(Date32Array::from_iter_values((0..rows).map(|_| 8_036 + self.below(3_650) as i32)))
            }
            ValueType::Boolean => Arc::new((0..rows).map(|_| Some(self.below(2) == 1)).collect::<BooleanArray>()),
            ValueType::Text | ValueType::Bytes => {
                Arc::new((0..rows).map(|_| Some(self.text())).collect::<StringArray>())
            }
        }
    }

    fn text(&mut self) -> String {
        let length = 4 + self.below(16);
        (0..length).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }
}

/// Columns for the fields: from the file, its rows repeated as often as it takes, or made.
pub(super) fn columns(
    fields: &[Field],
    rows: usize,
    given: Option<&LocalRows>,
    seeded: &mut Seeded,
) -> Result<Vec<ArrayRef>, AuthorError> {
    let Some(given) = given else {
        return Ok(fields.iter().map(|field| seeded.column(field.kind, rows)).collect());
    };
    if given.rows() == 0 {
        let problem = "it has no rows to measure with".to_owned();
        return Err(AuthorError::File { path: given.path().to_path_buf(), problem });
    }
    let repeated: UInt32Array = (0..rows).map(|row| (row % given.rows()) as u32).collect::<Vec<_>>().into();
    fields.iter().map(|field| Ok(take(&given.column(&field.name, field.kind)?, &repeated, None)?)).collect()
}

/// Columns as the native runner reads them: numbers are little-endian, lengths have 32 bits.
pub(super) fn encode(workloads: &[&[ArrayRef]]) -> Vec<u8> {
    let mut bytes = length(workloads.len()).to_vec();
    for columns in workloads {
        bytes.extend(length(columns.len()));
        columns.iter().for_each(|column| encode_column(column, &mut bytes));
    }
    bytes
}

fn length(length: usize) -> [u8; 4] {
    (length as u32).to_le_bytes()
}

fn encode_column(column: &ArrayRef, bytes: &mut Vec<u8>) {
    let kind = match column.data_type() {
        DataType::Int64 => b'i',
        DataType::Float64 => b'f',
        DataType::Date32 => b'd',
        DataType::Boolean => b'b',
        _ => b't',
    };
    bytes.push(kind);
    bytes.extend(length(column.len()));
    let mut validity = Vec::new();
    if column.null_count() > 0 {
        validity.resize(column.len().div_ceil(8), 0_u8);
        (0..column.len()).filter(|row| column.is_valid(*row)).for_each(|row| validity[row / 8] |= 1 << (row % 8));
    }
    bytes.extend(length(validity.len()));
    bytes.extend(validity);
    match kind {
        b'i' => bytes.extend(column.as_primitive::<Int64Type>().values().iter().flat_map(|value| value.to_le_bytes())),
        b'f' => {
            bytes.extend(column.as_primitive::<Float64Type>().values().iter().flat_map(|value| value.to_le_bytes()))
        }
        b'd' => bytes.extend(column.as_primitive::<Date32Type>().values().iter().flat_map(|value| value.to_le_bytes())),
        b'b' => bytes.extend(column.as_boolean().values().iter().map(u8::from)),
        _ => encode_texts(column.as_string(), bytes),
    }
}

fn encode_texts(texts: &StringArray, bytes: &mut Vec<u8>) {
    let mut end = 0_i32;
    bytes.extend(end.to_le_bytes());
    for text in texts {
        end += text.map_or(0, str::len) as i32;
        bytes.extend(end.to_le_bytes());
    }
    bytes.extend(length(end as usize));
    texts.iter().flatten().for_each(|text| bytes.extend(text.as_bytes()));
}
