//! What files say, and what they may not say.

use std::fs;

use domicile_sandbox::{Value, ValueType};

use super::LocalRows;

#[track_caller]
fn check(ending: &str, text: &str, kind: ValueType, expect: Result<&[Value], &str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("rows.{ending}"));
    fs::write(&path, text).unwrap();
    let read = LocalRows::read(&path).and_then(|rows| {
        let column = rows.column("x", kind)?;
        Ok((0..rows.rows()).map(|row| Value::at(&column, row).unwrap()).collect::<Vec<_>>())
    });
    let read = read.map_err(|error| error.to_string().replace(&path.display().to_string(), "rows"));
    assert_eq!(read, expect.map(<[Value]>::to_vec).map_err(str::to_owned));
}

#[test]
fn csv_has_types_once_they_are_asked_for() {
    use Value::{BigInt, Boolean, Date, Double, Null, Text};
    check("csv", "x,y\n7,a\n,b\n", ValueType::BigInt, Ok(&[BigInt(7), Null]));
    check("csv", "y,x\na,7\nb,\n", ValueType::Text, Ok(&[Text("7".to_owned()), Null]));
    check("csv", "x\n1970-01-03\n", ValueType::Date, Ok(&[Date(2)]));
    check("csv", "x\ntrue\n", ValueType::Boolean, Ok(&[Boolean(true)]));
    check(
        "csv",
        "x\n0.1\n1e300\n-inf\n",
        ValueType::Double,
        Ok(&[Double(0.1), Double(1e300), Double(f64::NEG_INFINITY)]),
    );
    check("csv", "x\n", ValueType::Double, Ok(&[]));
    check("csv", "x\n1\n1.5\n", ValueType::BigInt, Err("rows: row 2, column `x`: `1.5` is not a bigint"));
    check(
        "csv",
        "x\n2.8.1998\n",
        ValueType::Date,
        Err("rows: row 1, column `x`: `2.8.1998` is not a date, written as 1998-08-02"),
    );
    check("csv", "X\n1\n", ValueType::BigInt, Err("rows has no column `x`; did you mean `X`?"));
    check("csv", "x,x\n1,2\n", ValueType::BigInt, Err("rows: column `x` is there twice"));
}

#[test]
fn json_is_read_digit_by_digit() {
    use Value::{BigInt, Double, Null, Text};
    check(
        "json",
        r#"[{"x": 9007199254740993}, {"y": 1}, {"x": null}]"#,
        ValueType::BigInt,
        Ok(&[BigInt(9_007_199_254_740_993), Null, Null]),
    );
    check(
        "ndjson",
        "{\"x\": 0.1}\n{\"x\": \"NaN\", \"y\": 2}\n{\"x\": 5e-324}",
        ValueType::BigInt,
        Err("rows: row 1, column `x`: `0.1` is not a bigint"),
    );
    check(
        "jsonl",
        "{\"x\": 0.30000000000000004}\n{\"x\": \"inf\"}\n",
        ValueType::Double,
        Ok(&[Double(0.300_000_000_000_000_04), Double(f64::INFINITY)]),
    );
    check(
        "json",
        r#"[{"x": "a\nb"}, {"x": ""}]"#,
        ValueType::Text,
        Ok(&[Text("a\nb".to_owned()), Text(String::new())]),
    );
    check("json", r#"[{"x": "1"}]"#, ValueType::Double, Err("rows: row 1, column `x`: `\"1\"` is not a double"));
    check("json", r#"[{"x": 1}]"#, ValueType::Text, Err("rows: row 1, column `x`: `1` is not a text"));
    check(
        "json",
        r#"{"x": 1, "x": 2}"#,
        ValueType::BigInt,
        Err("rows: it is not an object a line: `x` is there twice at line 1 column 16"),
    );
}

#[test]
fn other_endings_are_not_guessed() {
    check(
        "txt",
        "x\n1\n",
        ValueType::BigInt,
        Err("rows: files are to end in .csv, .json, .ndjson, .jsonl or .parquet"),
    );
}
