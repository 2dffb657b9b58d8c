//! Where two tables differ.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Float64Type};

use crate::AuthorError;
use crate::text_table::{aligned, cell};

/// Differences that a report shows of one comparison.
const SHOWN_MAX: usize = 20;
const NOTHING: &str = "(no row)";

/// A value that is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The row, from 1 on.
    pub row: usize,
    /// The column.
    pub column: String,
    /// The expected value, as text.
    pub expected: String,
    /// The value found, as text.
    pub got: String,
}

/// How tables are compared.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Comparison {
    /// How far doubles may be apart: absolutely up to 1, and above it in proportion to the larger one.
    pub(crate) tolerance: f64,
    /// Rows may come in any order.
    pub(crate) any_row_order: bool,
    /// Empty texts and missing values are the same, as CSV writes them.
    pub(crate) empty_is_null: bool,
}

impl Comparison {
    /// The values of `got` that are not those of `expected`. Both have the same columns.
    pub(crate) fn differences(self, expected: &RecordBatch, got: &RecordBatch) -> Result<Vec<Difference>, AuthorError> {
        if self.any_row_order {
            let (expected, got) = (sorted(expected)?, sorted(got)?);
            return self.row_by_row(&expected, &got);
        }
        self.row_by_row(expected, got)
    }

    fn row_by_row(self, expected: &RecordBatch, got: &RecordBatch) -> Result<Vec<Difference>, AuthorError> {
        let mut differences = Vec::new();
        for row in 0..expected.num_rows().max(got.num_rows()) {
            for (field, (expected, got)) in
                expected.schema_ref().fields().iter().zip(expected.columns().iter().zip(got.columns()))
            {
                if row < expected.len() && row < got.len() && self.same(expected, got, row) {
                    continue;
                }
                let shown = |array: &ArrayRef| {
                    if row < array.len() { cell(array, row) } else { Ok(NOTHING.to_owned()) }
                };
                let (expected, got) = (shown(expected)?, shown(got)?);
                differences.push(Difference { row: row + 1, column: field.name().clone(), expected, got });
            }
        }
        Ok(differences)
    }

    fn same(self, expected: &ArrayRef, got: &ArrayRef, row: usize) -> bool {
        let missing = |array: &ArrayRef| {
            array.is_null(row)
                || (self.empty_is_null
                    && *array.data_type() == DataType::Utf8
                    && array.as_string::<i32>().value(row).is_empty())
        };
        match (missing(expected), missing(got), expected.data_type()) {
            (true, true, _) => true,
            (true, false, _) | (false, true, _) => false,
            (false, false, DataType::Float64) => {
                let of = |array: &ArrayRef| array.as_primitive::<Float64Type>().value(row);
                self.near(of(expected), of(got))
            }
            (false, false, _) => expected.slice(row, 1).to_data() == got.slice(row, 1).to_data(),
        }
    }

    fn near(self, expected: f64, got: f64) -> bool {
        let close = || (expected - got).abs() <= self.tolerance * expected.abs().max(got.abs()).max(1.0);
        let finite = expected.is_finite() && got.is_finite();
        expected == got || (expected.is_nan() && got.is_nan()) || (finite && close())
    }
}

/// The rows in the order of their texts.
fn sorted(rows: &RecordBatch) -> Result<RecordBatch, AuthorError> {
    let key = |row| rows.columns().iter().map(|column| cell(column, row)).collect::<Result<Vec<_>, _>>();
    let mut keys =
        (0..rows.num_rows()).map(|row| Ok((key(row)?, row as u32))).collect::<Result<Vec<_>, AuthorError>>()?;
    keys.sort();
    let order: UInt32Array = keys.into_iter().map(|(_, row)| row).collect::<Vec<_>>().into();
    Ok(take_record_batch(rows, &order)?)
}

/// The differences as a table with a line each, the first ones of many.
pub(crate) fn shown(differences: &[Difference]) -> String {
    let headings = ["row", "column", "expected", "got"].map(str::to_owned);
    let row = |difference: &Difference| {
        let Difference { row, column, expected, got } = difference.clone();
        vec![row.to_string(), column, expected, got]
    };
    let rows: Vec<Vec<String>> = differences.iter().take(SHOWN_MAX).map(row).collect();
    let mut text = aligned(&headings, &rows);
    if differences.len() > SHOWN_MAX {
        text.push_str(&format!("… and {} more differences\n", differences.len() - SHOWN_MAX));
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};

    use super::*;

    fn rows(names: &[Option<&str>], numbers: &[f64]) -> RecordBatch {
        let columns: [(&str, ArrayRef, bool); 2] = [
            ("name", Arc::new(StringArray::from(names.to_vec())), true),
            ("number", Arc::new(Float64Array::from(numbers.to_vec())), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    #[track_caller]
    fn check(how: Comparison, expected: &RecordBatch, got: &RecordBatch, expect: &[(usize, &str, &str, &str)]) {
        let found = how.differences(expected, got).unwrap();
        let found: Vec<_> =
            found.iter().map(|d| (d.row, d.column.as_str(), d.expected.as_str(), d.got.as_str())).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn values_are_compared_as_they_are() {
        let exact = Comparison::default();
        let expected = rows(&[Some("a"), None], &[1.0, f64::NAN]);
        check(exact, &expected, &expected, &[]);
        check(
            exact,
            &expected,
            &rows(&[Some("a"), Some("")], &[1.0, 0.0]),
            &[(2, "name", "null", "\"\""), (2, "number", "NaN", "0.0")],
        );
        check(
            exact,
            &expected,
            &rows(&[Some("a")], &[1.0]),
            &[(2, "name", "null", "(no row)"), (2, "number", "NaN", "(no row)")],
        );
        check(
            Comparison { empty_is_null: true, ..exact },
            &expected,
            &rows(&[Some("a"), Some("")], &[1.0, f64::NAN]),
            &[],
        );
    }

    #[test]
    fn tolerance_grows_with_the_numbers() {
        let near = Comparison { tolerance: 1e-6, ..Comparison::default() };
        check(near, &rows(&[None], &[1e9]), &rows(&[None], &[1e9 + 900.0]), &[]);
        check(near, &rows(&[None], &[0.0]), &rows(&[None], &[2e-6]), &[(1, "number", "0.0", "2e-6")]);
        check(near, &rows(&[None], &[f64::INFINITY]), &rows(&[None], &[1.0]), &[(1, "number", "inf", "1.0")]);
    }

    #[test]
    fn order_can_be_left_out() {
        let any = Comparison { any_row_order: true, ..Comparison::default() };
        check(any, &rows(&[Some("a"), Some("b")], &[1.0, 2.0]), &rows(&[Some("b"), Some("a")], &[2.0, 1.0]), &[]);
        check(
            any,
            &rows(&[Some("a"), Some("b")], &[1.0, 2.0]),
            &rows(&[Some("b"), Some("a")], &[1.0, 2.0]),
            &[(1, "number", "1.0", "2.0"), (2, "number", "2.0", "1.0")],
        );
    }
}
