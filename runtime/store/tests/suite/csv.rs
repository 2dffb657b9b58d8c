//! CSV: headers, and how each type is written.

use domicile_store::{Format, StoreError};
use domicile_types::{ColumnType, limits};

use crate::fixture::{Region, load_facts};

#[track_caller]
fn check_header(header: &str, expect: &str) {
    let mut region = Region::empty();
    let error = region.load("nation", &format!("{header}\n")).unwrap_err();
    assert_eq!(error.to_string(), format!("the file does not fit dataset `nation`: {expect}"));
}

#[test]
fn headers() {
    check_header("", "its first row must name the columns, and it has no row");
    check_header("n_nationkey", "column `n_name` is missing from the file");
    check_header("n_nationkey,n_nam", "it has no column `n_nam`; did you mean `n_name`?");
    check_header("n_nationkey,n_name,n_name", "the file has two columns named `n_name`");
    check_header("n_nationkey,n_name,_entity", "it has no column `_entity`");
}

#[test]
fn columns_go_by_name() {
    let mut region = Region::empty();
    region.load("nation", "\u{feff}n_name,\"n_nationkey\"\r\n\"CÔTE\nD'IVOIRE\",3\r\n").unwrap();
    assert_eq!(region.rows("nation"), ["3|CÔTE\nD'IVOIRE"]);
}

/// Loads one value into a nullable column of a type, and expects what is stored or why it is refused.
#[track_caller]
fn check(kind: ColumnType, value: &str, expect: Result<&str, &str>) {
    match (load_facts(kind, Format::Csv, format!("id,fact\n1,{value}\n").as_bytes()), expect) {
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
    check(ColumnType::BigInt, "-9223372036854775808", Ok("-9223372036854775808"));
    check(ColumnType::BigInt, "", Ok(""));
    check(ColumnType::BigInt, "9223372036854775808", Err("not a value of type bigint"));
    check(ColumnType::BigInt, "1.0", Err("not a value of type bigint"));
    check(ColumnType::BigInt, " 1", Err("not a value of type bigint"));
    check(ColumnType::Integer, "2147483647", Ok("2147483647"));
    check(ColumnType::Integer, "2147483648", Err("not a value of type integer"));
}

#[test]
fn decimals() {
    let money = ColumnType::Decimal { precision: 6, scale: 2 };
    check(money, "-1234.50", Ok("-1234.50"));
    check(money, "7", Ok("7.00"));
    check(money, "1.2000", Ok("1.20"));
    check(money, "1.205", Err("cannot be held by type decimal(6,2) without loss"));
    check(money, "12345.00", Err("not a value of type decimal(6,2)"));
    check(money, "1e2", Err("not a value of type decimal(6,2)"));
    check(money, "1.2.3", Err("not a value of type decimal(6,2)"));
    check(money, "1.-2", Err("not a value of type decimal(6,2)"));
    check(money, "1-2", Err("not a value of type decimal(6,2)"));
    check(money, "\"1,5\"", Err("not a value of type decimal(6,2)"));
}

#[test]
fn dates() {
    check(ColumnType::Date, "2024-02-29", Ok("2024-02-29"));
    check(ColumnType::Date, "1900-12-31", Ok("1900-12-31"));
    check(ColumnType::Date, "2023-02-29", Err("not a value of type date"));
    check(ColumnType::Date, "2024-2-9", Err("not a value of type date"));
    check(ColumnType::Date, "2024-02-29 10:00:00", Err("not a value of type date"));
    check(ColumnType::Date, "29.02.2024", Err("not a value of type date"));
}

#[test]
fn doubles_booleans_texts() {
    check(ColumnType::Double, "-1.5e3", Ok("-1500.0"));
    check(ColumnType::Double, "1e999", Err("not a value of type double"));
    check(ColumnType::Double, "NaN", Err("not a value of type double"));
    check(ColumnType::Boolean, "true", Ok("true"));
    check(ColumnType::Boolean, "maybe", Err("not a value of type boolean"));
    check(ColumnType::Text, "\"a \"\"b\"\", c\"", Ok("a \"b\", c"));
}

#[track_caller]
fn check_broken(rows: &[u8], expect: &str) {
    let mut region = Region::empty();
    let error = region.load_as("nation", Format::Csv, rows).unwrap_err();
    assert!(error.to_string().contains(expect), "{error}");
    assert!(region.segment_files().is_empty());
}

#[test]
fn broken_files() {
    check_broken(
        b"n_nationkey,n_name\n1,a\n2,b,c\n",
        "after row 1: the next row has more fields than the 2 of the first line",
    );
    check_broken(
        b"n_nationkey,n_name\n1,a\n2\n",
        "after row 1: the next row has fewer fields than the 2 of the first line",
    );
    check_broken(b"n_nationkey,n_name\n1,\xff\n", "after row 0: field 2 of the next row is not UTF-8");
}

#[test]
fn a_row_has_a_limit_and_so_has_the_header() {
    let long = "x".repeat(limits::ROW_BYTES_MAX);
    check_broken(
        format!("n_nationkey,n_name\n1,a\n2,\"{long}\n").as_bytes(),
        "the row after row 1 exceeds 16777216 bytes",
    );
    check_broken(format!("n_nationkey,{long}\n").as_bytes(), "the row after row 0 exceeds 1048576 bytes");
    let mut region = Region::empty();
    region.load("nation", &format!("n_nationkey,n_name\n1,{}\n", &long[2..])).unwrap();
}

#[test]
fn a_required_text_can_be_empty_in_other_formats_only() {
    let mut region = Region::empty();
    for empty in ["", "\"\""] {
        let error = region.load("nation", &format!("n_nationkey,n_name\n1,{empty}\n")).unwrap_err();
        assert!(error.to_string().ends_with("column n_name: a value is required"), "{error}");
    }
    region.load_as("nation", Format::Ndjson, r#"{"n_nationkey": 1, "n_name": ""}"#).unwrap();
    assert_eq!(region.rows("nation"), ["1|"]);
}
