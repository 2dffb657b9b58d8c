//! JSON and lines of it: exact values, strict kinds, members by name.

use domicile_store::{Format, RefusedRow, StoreError};
use domicile_types::{ColumnType, limits};

use crate::fixture::{Region, load_facts};

/// Loads one value into a nullable column of a type, and expects what is stored or why it is refused.
#[track_caller]
fn check(kind: ColumnType, value: &str, expect: Result<&str, &str>) {
    match (load_facts(kind, Format::Ndjson, format!(r#"{{"id": 1, "fact": {value}}}"#).as_bytes()), expect) {
        (Ok(rows), Ok(expect)) => assert_eq!(rows, [format!("1|{expect}")]),
        (Err(StoreError::RowsRefused { first, .. }), Err(expect)) => {
            assert_eq!((first[0].row, first[0].column.as_str()), (1, "fact"));
            assert_eq!(first[0].reason.to_string(), expect);
        }
        (got, _) => panic!("{value}: {got:?}"),
    }
}

#[test]
fn integers() {
    check(ColumnType::BigInt, "9007199254740993", Ok("9007199254740993"));
    check(ColumnType::BigInt, "-9223372036854775808", Ok("-9223372036854775808"));
    check(ColumnType::BigInt, "null", Ok(""));
    check(ColumnType::BigInt, "9223372036854775808", Err("not a value of type bigint"));
    check(ColumnType::BigInt, "\"1\"", Err("not a value of type bigint"));
    check(ColumnType::BigInt, "1.0", Err("not a value of type bigint"));
    check(ColumnType::BigInt, "1e3", Err("not a value of type bigint"));
    check(ColumnType::BigInt, "true", Err("not a value of type bigint"));
    check(ColumnType::Integer, "2147483647", Ok("2147483647"));
    check(ColumnType::Integer, "2147483648", Err("not a value of type integer"));
}

#[test]
fn decimals_and_doubles() {
    let money = ColumnType::Decimal { precision: 38, scale: 2 };
    check(money, "123456789012345678901234567890123456.78", Ok("123456789012345678901234567890123456.78"));
    check(money, "\"0.10\"", Ok("0.10"));
    check(money, "1.100", Ok("1.10"));
    check(money, "1.101", Err("cannot be held by type decimal(38,2) without loss"));
    check(money, "\"\"", Err("not a value of type decimal(38,2)"));
    check(money, "1e2", Err("not a value of type decimal(38,2)"));
    check(ColumnType::Double, "-1.5E-3", Ok("-0.0015"));
    check(ColumnType::Double, "0.1", Ok("0.1"));
    // A double takes the nearest of its values, and a bigint exactly what is written.
    check(ColumnType::Double, "9007199254740993", Ok("9007199254740992.0"));
    check(ColumnType::BigInt, "9007199254740993", Ok("9007199254740993"));
    check(ColumnType::Double, "1e999", Err("not a value of type double"));
    check(ColumnType::Double, "\"1.5\"", Err("not a value of type double"));
}

#[test]
fn texts_dates_booleans() {
    check(ColumnType::Text, r#""""#, Ok(""));
    check(ColumnType::Text, r#""a \"b\" \u00e9 \ud83d\ude00 \\""#, Ok("a \"b\" é 😀 \\"));
    check(ColumnType::Text, "1", Err("not a value of type text"));
    check(ColumnType::Text, r#"["a", {"b": "]}"}]"#, Err("not a value of type text"));
    check(ColumnType::Date, "\"2024-02-29\"", Ok("2024-02-29"));
    check(ColumnType::Date, "\"2023-02-29\"", Err("not a value of type date"));
    check(ColumnType::Date, "\"2024-02-29T10:00:00\"", Err("not a value of type date"));
    check(ColumnType::Date, "19782", Err("not a value of type date"));
    check(ColumnType::Boolean, "false", Ok("false"));
    check(ColumnType::Boolean, "\"true\"", Err("not a value of type boolean"));
    check(ColumnType::Boolean, "1", Err("not a value of type boolean"));
}

#[track_caller]
fn check_rows(format: Format, text: &str, expect: &[&str]) {
    let mut region = Region::empty();
    region.load_as("nation", format, text).unwrap();
    assert_eq!(region.rows("nation"), expect);
}

#[test]
fn an_array_an_object_and_lines() {
    let both = ["1|a", "2|}{"];
    check_rows(
        Format::Json,
        "\u{feff} [ {\"n_nationkey\": 1, \"n_name\":\"a\"} ,\n{\"n_name\":\"}{\",\"n_nationkey\":2}]\n",
        &both,
    );
    check_rows(Format::Json, r#"{"n_nationkey": 1, "n_name": "a"}"#, &both[..1]);
    check_rows(Format::Json, "[]", &[]);
    check_rows(
        Format::Ndjson,
        "\u{feff}{\"n_nationkey\":1,\"n_name\":\"a\"}\r\n\n  {\"n_name\":\"}{\",\"n_nationkey\":2}",
        &both,
    );
    check_rows(Format::Ndjson, "", &[]);
}

#[track_caller]
fn check_refused(rows: &str, expect: &[&str]) {
    let mut region = Region::empty();
    match region.load_as("customer", Format::Ndjson, rows).unwrap_err() {
        StoreError::RowsRefused { first, .. } => {
            assert_eq!(first.iter().map(RefusedRow::to_string).collect::<Vec<_>>(), expect);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn members_that_are_absent_unknown_or_there_twice() {
    let rest = r#""c_nationkey": 6, "c_acctbal": 1"#;
    let mut region = Region::empty();
    region.load_as("customer", Format::Ndjson, format!(r#"{{"c_name": "a", {rest}, "c_custkey": 1}}"#)).unwrap();
    assert_eq!(region.rows("customer"), ["1|a|6|1.00||1"]);
    check_refused(
        &format!(
            "{{\"c_custkey\": 1, {rest}}}\n{{\"c_custkey\": 2, \"c_nam\": [1, 2], {rest}}}\n\
             {{\"c_custkey\": 3, \"c_name\": \"a\", \"zzz\": 1, {rest}}}\n\
             {{\"c_custkey\": 4, \"c_name\": \"a\", \"c_name\": \"b\", {rest}}}\n"
        ),
        &[
            "row 1, column c_name: a value is required",
            "row 2, column c_nam, value \"[1, 2]\": there is no such column; did you mean `c_name`?",
            "row 3, column zzz, value \"1\": there is no such column",
            "row 4, column c_name, value \"\\\"b\\\"\": the row has this column twice",
        ],
    );
}

#[track_caller]
fn check_broken(format: Format, text: &str, expect: &str) {
    let mut region = Region::empty();
    let error = region.load_as("nation", format, text).unwrap_err();
    assert!(matches!(error, StoreError::Malformed { .. } | StoreError::Oversized { .. }), "{error}");
    assert!(error.to_string().contains(expect), "{error}");
    assert!(region.segment_files().is_empty());
}

#[test]
fn broken_texts() {
    let row = r#"{"n_nationkey": 1, "n_name": "a"}"#;
    check_broken(Format::Json, "", "after row 0: it ends too early");
    check_broken(Format::Json, "7", "an object in braces must follow");
    check_broken(Format::Json, &format!("[{row}"), "after row 1: it ends too early");
    check_broken(Format::Json, &format!("[{row},]"), "after row 1: `,` and an object, or `]`, must follow");
    check_broken(Format::Json, &format!("[{row} {row}]"), "after row 1: `,` and an object, or `]`, must follow");
    check_broken(Format::Json, &format!("[{row}] x"), "there is text behind its end");
    check_broken(Format::Json, &format!("{row}{row}"), "there is text behind its end");
    check_broken(Format::Json, "[[1, 2]]", "an object in braces must follow");
    check_broken(Format::Json, "[{\"n_name\": \"a", "it ends inside an object");
    check_broken(Format::Json, "{\"n_nationkey\": 1]", "`,` or `}` is missing at byte 18");
    check_broken(
        Format::Ndjson,
        &format!("{row}\n{}", &row[..20]),
        "as NDJSON after row 1: a closing quote is missing at byte 21",
    );
    check_broken(Format::Ndjson, &format!("{row}{row}\n"), "the end of the row is missing at byte 34");
    check_broken(Format::Ndjson, "[1]\n", "an object in braces is missing at byte 1");
    for value in ["01", "1.", "-", "+1", ".5", "1e", "nul", "NaN", "'a'", "\"\\x\"", "\"\\ud800\"", "\"a\tb\"", "[1,]"]
    {
        check_broken(Format::Ndjson, &format!("{{\"n_name\": {value}}}\n"), "after row 0");
    }
}

#[test]
fn a_row_has_a_limit() {
    let long = "x".repeat(limits::ROW_BYTES_MAX);
    let row = format!("{{\"n_nationkey\": 1, \"n_name\": \"{long}\"}}");
    check_broken(Format::Ndjson, &row, "the row after row 0 exceeds 16777216 bytes");
    check_broken(Format::Json, &format!("[{row}]"), "the row after row 0 exceeds 16777216 bytes");
    let mut region = Region::empty();
    region.load_as("nation", Format::Json, row.replace(&long[64..], "")).unwrap();
}
