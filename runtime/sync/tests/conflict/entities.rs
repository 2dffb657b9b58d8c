//! Whom a row is about goes with the column that says it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt8Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use domicile_sync::conflict::{NoPlugin, Rules, Siblings};
use domicile_types::{
    Column, ColumnPolicy, ColumnType, ConflictPolicy, ConflictPolicyError, Dataset, Mark, Residency, RowPolicy,
};

use crate::table::{Item, resolve, version};

fn dataset() -> Dataset {
    let column = |name: &str| Column { name: name.to_owned(), kind: ColumnType::BigInt, nullable: name != "id" };
    let columns = ["id", "parent", "amount"].map(column).to_vec();
    Dataset::new("part".parse().unwrap(), columns, vec!["id".to_owned()]).unwrap()
}

fn follows() -> Residency {
    Residency::Follows { dataset: "whole".parse().unwrap(), column: "parent".to_owned() }
}

/// Versions of one row, as (parent, amount, entity), by regions in the order in which they were written.
fn siblings(rows: &[(i64, i64, i64)]) -> Siblings {
    let column = |of: fn(&(i64, i64, i64)) -> i64| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<Int64Array>())
    };
    let columns = [column(|_| 1), column(|row| row.0), column(|row| row.1), column(|row| row.2)];
    let operations: ArrayRef = Arc::new(UInt8Array::from(vec![0; rows.len()]));
    let field = |name: &str| Field::new(name, DataType::Int64, name != "id");
    let fields = ["id", "parent", "amount", "_entity"].map(field);
    let fields = fields.into_iter().chain([Field::new("_op", DataType::UInt8, false)]).collect::<Vec<_>>();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().chain([operations]).collect());
    let marks: Vec<Mark> = ["eu", "us", "ap"]
        .iter()
        .zip(10..)
        .take(rows.as_ref().unwrap().num_rows())
        .map(|(region, hlc)| version(region, 1, hlc, Item::default()).0)
        .collect();
    Siblings::new(&rows.unwrap(), &marks).unwrap()
}

/// Parent, amount and entity under a policy of the parent column.
#[track_caller]
fn check(policy: ColumnPolicy, rows: &[(i64, i64, i64)], expect: (i64, i64, i64)) {
    let columns = [("parent".to_owned(), policy)].into();
    let rules = Rules::new(&ConflictPolicy { row: RowPolicy::Lww, columns }, &dataset(), &follows()).unwrap();
    let row = resolve(&rules, &siblings(rows), &NoPlugin).row;
    let value = |name: &str| row.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(0);
    assert_eq!((value("parent"), value("amount"), value("_entity")), expect);
}

#[test]
fn the_entity_is_that_of_the_value_that_counts() {
    check(ColumnPolicy::Max, &[(7, 1, 700), (5, 2, 500)], (7, 2, 700));
    check(ColumnPolicy::Min, &[(7, 1, 700), (5, 2, 500)], (5, 2, 500));
    // Of several with that value, the version that counts otherwise comes first, then the last.
    check(ColumnPolicy::Max, &[(7, 1, 700), (7, 2, 701)], (7, 2, 701));
    check(ColumnPolicy::Max, &[(7, 1, 700), (7, 2, 701), (5, 3, 500)], (7, 3, 701));
}

#[test]
fn nobody_is_made_up() {
    let columns = [("parent".to_owned(), ColumnPolicy::Counter)].into();
    let refused = Rules::new(&ConflictPolicy { row: RowPolicy::Lww, columns }, &dataset(), &follows());
    assert!(matches!(refused, Err(ConflictPolicyError::HomeColumn { .. })), "{refused:?}");
}
