//! Contents as the contract has them, and what they mean by its words alone.

use arbitrary::Arbitrary;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type};

#[derive(Debug, Arbitrary)]
pub(super) struct Runs {
    pub(super) offsets: Vec<i32>,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Values {
    BigInt(Vec<i64>),
    Double(Vec<f64>),
    Text(Runs),
    Date(Vec<i32>),
    Boolean(Vec<u8>),
    Bytes(Runs),
    Dictionary(Vec<u8>, Runs),
}

#[derive(Debug, Arbitrary)]
pub(super) struct Contents {
    pub(super) values: Values,
    pub(super) validity: Option<Vec<u8>>,
}

/// One row. A double is its bits; of a NaN, only that it is one.
#[derive(Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(i64),
    Bits(u64),
    Text(Vec<u8>),
}

const NAN: u64 = f64::NAN.to_bits();

fn double(value: f64) -> Cell {
    Cell::Bits(if value.is_nan() { NAN } else { value.to_bits() })
}

impl Runs {
    /// The runs, where the offsets keep the rules.
    fn split(&self) -> Option<Vec<&[u8]>> {
        if self.offsets.is_empty() {
            return None;
        }
        let run = |pair: &[i32]| self.bytes.get(usize::try_from(pair[0]).ok()?..usize::try_from(pair[1]).ok()?);
        let within = self.offsets.iter().all(|offset| usize::try_from(*offset).is_ok_and(|at| at <= self.bytes.len()));
        if within { self.offsets.windows(2).map(run).collect() } else { None }
    }
}

impl Contents {
    /// The case of the variant, from 0 on.
    pub(super) fn case(&self) -> u32 {
        match self.values {
            Values::BigInt(_) => 0,
            Values::Double(_) => 1,
            Values::Text(_) => 2,
            Values::Date(_) => 3,
            Values::Boolean(_) => 4,
            Values::Bytes(_) => 5,
            Values::Dictionary(..) => 6,
        }
    }

    /// The function of the component that answers this type; of bytes, there is none, so that of texts.
    pub(super) fn function(&self) -> usize {
        match self.case() {
            5 | 6 => 2,
            case => case as usize,
        }
    }

    pub(super) fn rows(&self) -> usize {
        match &self.values {
            Values::BigInt(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Text(runs) | Values::Bytes(runs) => runs.offsets.len().saturating_sub(1),
            Values::Date(values) => values.len(),
            Values::Boolean(values) => values.len(),
            Values::Dictionary(indices, _) => indices.len(),
        }
    }

    fn present(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1)
    }

    /// What each row is; none where a rule is broken.
    pub(super) fn expected(&self) -> Option<Vec<Cell>> {
        if self.validity.as_ref().is_some_and(|bits| bits.len() != self.rows().div_ceil(8)) {
            return None;
        }
        let cells: Vec<Option<Cell>> = match &self.values {
            Values::BigInt(values) => values.iter().map(|value| Some(Cell::Number(*value))).collect(),
            Values::Double(values) => values.iter().map(|value| Some(double(*value))).collect(),
            Values::Date(values) => values.iter().map(|value| Some(Cell::Number((*value).into()))).collect(),
            Values::Boolean(values) => values.iter().map(|value| Some(Cell::Number((*value != 0).into()))).collect(),
            Values::Bytes(_) => return None,
            Values::Text(runs) => runs.split()?.into_iter().map(text).collect(),
            Values::Dictionary(indices, texts) => {
                let texts = texts.split()?;
                indices.iter().map(|index| texts.get(usize::from(*index)).copied().and_then(text)).collect()
            }
        };
        let cell = |(row, cell)| if self.present(row) { cell } else { Some(Cell::Null) };
        cells.into_iter().enumerate().map(cell).collect()
    }

    /// Whether there are texts that are not UTF-8 where no row has a value: they may be refused, and need not be.
    fn has_doubtful_placeholders(&self) -> bool {
        let (Values::Text(runs) | Values::Dictionary(_, runs)) = &self.values else { return false };
        runs.split().is_none_or(|runs| runs.into_iter().any(|run| text(run).is_none()))
    }
}

fn text(run: &[u8]) -> Option<Cell> {
    std::str::from_utf8(run).ok().map(|text| Cell::Text(text.as_bytes().to_vec()))
}

fn cell(array: &ArrayRef, row: usize) -> Cell {
    use arrow::datatypes::DataType;
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Int64 => Cell::Number(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => Cell::Number(array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Boolean => Cell::Number(array.as_boolean().value(row).into()),
        _ => Cell::Text(array.as_string::<i32>().value(row).as_bytes().to_vec()),
    }
}

/// Whether the host answered what the contract says.
///
/// # Panics
/// Where it did not.
pub(super) fn compare(answer: Result<&ArrayRef, String>, expected: Option<Vec<Cell>>, contents: &Contents) {
    match (answer, expected) {
        (Ok(array), Some(cells)) => {
            let found: Vec<Cell> = (0..array.len()).map(|row| cell(array, row)).collect();
            assert_eq!(found, cells, "{contents:?}");
        }
        (Ok(_), None) => panic!("accepted, and ought to be refused: {contents:?}"),
        (Err(error), Some(_)) => {
            assert!(contents.has_doubtful_placeholders(), "refused, and ought to be accepted: {error}: {contents:?}");
        }
        (Err(error), None) => assert!(!error.is_empty()),
    }
}
