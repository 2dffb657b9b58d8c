//! Refused rows: named, and nothing of their file is loaded.

use domicile_store::{RefusedRow, StoreError};
use domicile_types::limits;

use crate::fixture::Region;

/// Loads into a filled region and expects the refused rows to read like `expect`.
#[track_caller]
fn check(dataset: &str, rows: &str, expect: &[&str]) {
    let mut region = Region::filled();
    let (refused, first) = refuse(&mut region, dataset, rows);
    assert_eq!(first.iter().map(ToString::to_string).collect::<Vec<_>>(), expect);
    assert_eq!(refused, expect.len() as u64);
}

#[track_caller]
fn refuse(region: &mut Region, dataset: &str, rows: &str) -> (u64, Vec<RefusedRow>) {
    let files = region.segment_files();
    let stored = region.rows(dataset);
    let error = region.load(dataset, rows).unwrap_err();
    assert_eq!(region.store.reader().snapshot().version, 3);
    assert_eq!(region.rows(dataset), stored);
    assert_eq!(region.segment_files(), files);
    match error {
        StoreError::RowsRefused { refused, first } => (refused, first),
        other => panic!("{other}"),
    }
}

const HEADER: &str = "c_custkey,c_name,c_nationkey,c_acctbal,c_since\n";

#[test]
fn rows_of_another_home() {
    check(
        "customer",
        &format!("{HEADER}8,Carla,6,0,\n9,Dan,24,0,\n"),
        &["row 2, column c_nationkey, value \"24\": home is us-east; load it there"],
    );
}

#[test]
fn rows_without_a_home() {
    check(
        "customer",
        &format!("{HEADER}9,Dan,30,0,\n"),
        &["row 1, column c_nationkey, value \"30\": no home: value 30 is not in the policy's map"],
    );
}

#[test]
fn missing_values_where_one_is_required() {
    check(
        "customer",
        &format!("{HEADER}8,,6,0,\n9,Dan,,0,\n,Eve,6,0,\n"),
        &[
            "row 1, column c_name: a value is required",
            "row 2, column c_nationkey: a value is required",
            "row 3, column c_custkey: a value is required",
        ],
    );
}

#[test]
fn rows_whose_parent_is_not_here() {
    let reason = "with this key is stored in this region;";
    check(
        "orders",
        "o_orderkey,o_custkey\n20,3\n21,1\n22,0\n",
        &[
            &format!(
                "row 1, column o_custkey, value \"3\": no row of customer {reason} load customer first, or load this row where it is"
            ),
            &format!(
                "row 3, column o_custkey, value \"0\": no row of customer {reason} load customer first, or load this row where it is"
            ),
        ],
    );
}

#[test]
fn a_follower_before_its_parent() {
    let mut region = Region::empty();
    let error = region.load("orders", "o_orderkey,o_custkey\n20,1\n").unwrap_err();
    assert!(matches!(error, StoreError::RowsRefused { refused: 1, .. }), "{error}");
}

#[test]
fn a_row_counts_once_and_only_the_first_are_listed() {
    let mut region = Region::filled();
    let rows: String = (0..25).map(|row| format!("{},,30,x,\n", row + 100)).collect();
    let (refused, first) = refuse(&mut region, "customer", &format!("{HEADER}{rows}"));
    assert_eq!(refused, 25);
    let listed: Vec<u64> = first.iter().map(|row| row.row).collect();
    assert_eq!(listed, (1..=limits::REFUSED_ROWS_LISTED_MAX as u64).collect::<Vec<_>>());
}

#[test]
fn a_refused_file_can_be_loaded_once_it_is_right() {
    let mut region = Region::filled();
    refuse(&mut region, "orders", "o_orderkey,o_custkey\n40,3\n");
    region.load("customer", &format!("{HEADER}3,Carla,6,0,\n")).unwrap();
    assert_eq!(region.load("orders", "o_orderkey,o_custkey\n40,3\n").unwrap().rows, 1);
    assert_eq!(region.rows("orders").last().unwrap(), "40|3|3");
}

#[test]
fn a_long_value_is_shortened() {
    let mut region = Region::filled();
    let (_, first) = refuse(&mut region, "orders", &format!("o_orderkey,o_custkey\n{},1\n", "é".repeat(500)));
    assert_eq!(first[0].value.as_deref().unwrap().chars().count(), limits::REFUSED_VALUE_CHARS_MAX);
}
