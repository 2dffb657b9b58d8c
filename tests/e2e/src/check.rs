//! Comparisons that say where two things differ.

use anyhow::Result;
use domicile_harness::{Answer, Response};
use serde_json::Value;

use crate::oracle::Cell;

/// Averages of decimals are cut after six digits, so one unit there is allowed…
pub const ABSOLUTE: f64 = 2e-6;
/// …and SQLite sums doubles where we sum decimals.
pub const RELATIVE: f64 = 1e-12;

/// Checks that an answer has these rows, in this order; numbers within [`ABSOLUTE`] or [`RELATIVE`], whichever is
/// more.
///
/// # Panics
/// Where it has not; the message names the first row and column that differ.
#[track_caller]
pub fn same_rows(answer: &Answer, expect: &[Vec<Cell>]) {
    let columns = answer.columns();
    for (index, (row, expected)) in answer.rows().iter().zip(expect).enumerate() {
        assert_eq!(columns.len(), expected.len(), "columns {columns:?}");
        for (column, expected) in columns.iter().zip(expected) {
            let got = &row[*column];
            assert!(alike(got, expected), "row {index}, column `{column}`: {got} is not {expected:?}\n{row}");
        }
    }
    assert_eq!(answer.rows().len(), expect.len(), "rows");
}

/// The same answer with its rows in the order of the texts in their first column.
///
/// # Errors
/// None but those of [`Answer::new`].
pub fn by_first_column(answer: &Answer) -> Result<Answer> {
    let first = answer.columns().first().map(|column| (*column).to_owned()).unwrap_or_default();
    let mut rows = answer.rows().to_vec();
    rows.sort_by_key(|row| row[&first].as_str().unwrap_or_default().to_owned());
    let mut document = answer.document().clone();
    document["rows"] = Value::Array(rows);
    Answer::new(document)
}

fn alike(got: &Value, expect: &Cell) -> bool {
    match expect {
        Cell::Null => got.is_null(),
        Cell::Text(expect) => got.as_str().is_some_and(|got| got.strip_suffix("T00:00:00").unwrap_or(got) == expect),
        Cell::Number(expect) => domicile_harness::answer::number(got)
            .is_ok_and(|got| (got - expect).abs() <= ABSOLUTE.max(RELATIVE * expect.abs())),
    }
}

/// Checks that a response is a problem document of this status and, where one is given, of this kind (the last
/// part of its type), and that its detail has each of these texts. Returns the document.
///
/// # Panics
/// Where it is something else.
#[track_caller]
pub fn problem(response: &Response, status: u16, kind: Option<&str>, texts: &[&str]) -> Value {
    let text = response.text();
    assert_eq!(response.status, status, "{text}");
    let media_type = response.header("content-type").unwrap_or_default();
    assert!(media_type.starts_with("application/problem+json"), "{media_type}: {text}");
    let document = response.json().unwrap_or_else(|error| panic!("{error:#}"));
    let type_ = document["type"].as_str().and_then(|path| path.strip_prefix("/problems/")).unwrap_or_default();
    assert!(!type_.is_empty() && kind.is_none_or(|kind| kind == type_), "{text}");
    assert_eq!(document["status"], status, "{text}");
    assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{text}");
    let detail = document["detail"].as_str().unwrap_or_default();
    for wanted in texts {
        assert!(detail.contains(wanted), "`{wanted}` is not in: {detail}");
    }
    document
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(got: Value, expect: Cell, alike_expected: bool) {
        assert_eq!(alike(&got, &expect), alike_expected, "{got} {expect:?}");
    }

    #[test]
    fn tolerance_is_tight() {
        check(json!("0.050094"), Cell::Number(0.050_094_999), true);
        check(json!(0.0501), Cell::Number(0.050_094_999), false);
        check(json!("123456789012.3456"), Cell::Number(123_456_789_012.345_7), true);
        check(json!("123456789013.3456"), Cell::Number(123_456_789_012.345_7), false);
        check(json!(null), Cell::Number(0.0), false);
        check(json!("1998-08-01T00:00:00"), Cell::Text("1998-08-01".to_owned()), true);
        check(json!("1998-08-02"), Cell::Text("1998-08-01".to_owned()), false);
    }
}
