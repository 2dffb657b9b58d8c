//! Whether an answer's rows are those that were expected.

use domicile_harness::{Answer, answer};
use domicile_tests::oracle::Cell;
use serde_json::Value;

/// How far exact numbers may be off, as a share: SQLite sums doubles where we sum decimals.
pub const RELATIVE: f64 = 1e-9;
/// How far they may be off in any case: quotients of decimals are cut after a few digits.
pub const ABSOLUTE: f64 = 2e-6;

/// The rows of an answer, each a value a column.
pub(crate) fn rows(answer: &Answer) -> Vec<Vec<&Value>> {
    let columns = answer.columns();
    answer.rows().iter().map(|row| columns.iter().map(|column| &row[*column]).collect()).collect()
}

/// Whether a value is the expected one; approximate ones may be off by a share of `tolerance`.
pub(crate) fn alike(got: &Value, expect: &Cell, tolerance: Option<f64>) -> bool {
    match expect {
        Cell::Null => got.is_null(),
        Cell::Text(expect) => got.as_str().is_some_and(|got| got.strip_suffix("T00:00:00").unwrap_or(got) == expect),
        Cell::Number(expect) => answer::number(got)
            .is_ok_and(|got| (got - expect).abs() <= ABSOLUTE.max(tolerance.unwrap_or(RELATIVE) * expect.abs())),
    }
}

/// Where an answer differs from the expected rows in their order, if it does.
pub(crate) fn difference(answer: &Answer, expect: &[Vec<Cell>], tolerance: Option<f64>) -> Option<String> {
    let got = rows(answer);
    for (index, (row, expect)) in got.iter().zip(expect).enumerate() {
        let same = row.len() == expect.len();
        if !same || !row.iter().zip(expect).all(|(got, expect)| alike(got, expect, tolerance)) {
            let row = row.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Some(format!("row {index} is {row}, and should be {expect:?}"));
        }
    }
    (got.len() != expect.len()).then(|| format!("{} rows, and should be {}", got.len(), expect.len()))
}
