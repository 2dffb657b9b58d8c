//! Datasets that get further columns once they have rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use domicile_store::{DatasetSpec, Format, Store, StoreError, StoreReader};
use domicile_types::{Column, ColumnType};

use crate::fixture::{NATIONS, NOW_MS, Region, flush, name, open, specs};

const BYTES_MAX: u64 = 1 << 20;

fn with_columns(columns: &[(&str, ColumnType, bool)]) -> Vec<DatasetSpec> {
    let mut specs = specs();
    for (name, kind, nullable) in columns {
        specs[3].dataset.columns.push(Column { name: (*name).to_owned(), kind: *kind, nullable: *nullable });
    }
    specs
}

const NOTE: (&str, ColumnType, bool) = ("note", ColumnType::Text, true);
const AREA: (&str, ColumnType, bool) = ("area", ColumnType::BigInt, true);

fn reopened(region: Region, columns: &[(&str, ColumnType, bool)]) -> Result<Region, StoreError> {
    let dir = region.dir();
    let Region { root, store } = region;
    drop(store);
    Ok(Region { store: open(&dir, with_columns(columns))?, root })
}

fn texts(rows: &RecordBatch, columns: usize) -> Vec<String> {
    let cell = |row, column: &ArrayRef| {
        if column.is_null(row) { "-".to_owned() } else { array_value_to_string(column, row).unwrap() }
    };
    let text = |row| rows.columns()[..columns].iter().map(|column| cell(row, column)).collect::<Vec<_>>().join("|");
    (0..rows.num_rows()).map(text).collect()
}

/// The rows that count: their first columns.
fn rows(reader: &StoreReader, columns: usize) -> Vec<String> {
    texts(&reader.rows(&name("nation"), BYTES_MAX).unwrap(), columns)
}

/// What a lookup of these keys gives of a name and a note.
fn found(store: &Store, keys: &[i64]) -> Vec<String> {
    let keys: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
    let (rows, at) = store.reader().find(&name("nation"), &[keys], &["n_name", "note"]).unwrap();
    let texts = texts(&rows.unwrap(), 2);
    at.iter().map(|at| at.map_or("none".to_owned(), |at| texts[at as usize].clone())).collect()
}

fn compact(store: &mut Store) {
    let later_ms = NOW_MS + 3_600_000;
    while let Some(job) = store.next_job(later_ms) {
        store.finish(job.run(&|_| {})).unwrap();
    }
}

#[test]
fn rows_from_before_have_no_value_in_it() {
    for flushed in [true, false] {
        let mut region = Region::empty();
        region.load("nation", NATIONS).unwrap();
        if flushed {
            region.flush();
        }
        let mut region = reopened(region, &[NOTE]).unwrap();
        let before = ["6|FRANCE|-", "7|GERMANY|-", "24|UNITED STATES|-"];
        assert_eq!(rows(&region.store.reader(), 3), before, "flushed: {flushed}");
        assert_eq!(found(&region.store, &[7, 8]), ["GERMANY|-", "none"]);

        region.load("nation", "n_nationkey,n_name,note\n7,GERMANY,late\n8,INDIA,new\n").unwrap();
        let after = ["6|FRANCE|-", "7|GERMANY|late", "8|INDIA|new", "24|UNITED STATES|-"];
        assert_eq!(rows(&region.store.reader(), 3), after);
        assert_eq!(found(&region.store, &[6, 7, 8]), ["FRANCE|-", "GERMANY|late", "INDIA|new"]);
        region.delete("nation", "n_nationkey\n6\n").unwrap();
        // Both shapes, in memory and in segments, then in one.
        flush(&mut region.store);
        assert_eq!(rows(&region.store.reader(), 3), after[1..]);
        compact(&mut region.store);
        assert_eq!(rows(&region.store.reader(), 3), after[1..]);

        // Once more, and by several at once.
        let region = reopened(region, &[NOTE, AREA]).unwrap();
        let wide = ["7|GERMANY|late|-", "8|INDIA|new|-", "24|UNITED STATES|-|-"];
        assert_eq!(rows(&region.store.reader(), 4), wide);
    }
}

#[test]
fn several_columns_may_come_at_once() {
    let mut region = Region::empty();
    region.load("nation", NATIONS).unwrap();
    region.flush();
    let mut region = reopened(region, &[NOTE, AREA]).unwrap();
    region.load("nation", "n_nationkey,n_name,note,area\n6,FRANCE,x,5\n").unwrap();
    let all = ["6|FRANCE|x|5", "7|GERMANY|-|-", "24|UNITED STATES|-|-"];
    assert_eq!(rows(&region.store.reader(), 4), all);
    // As it is, and all in the log.
    let region = reopened(region, &[NOTE, AREA]).unwrap();
    assert_eq!(rows(&region.store.reader(), 4), all);
}

/// Expects that rows of nations keep the store from opening with these further columns, and are there as before.
#[track_caller]
fn check_refused(before: &[(&str, ColumnType, bool)], after: &[(&str, ColumnType, bool)]) {
    for flushed in [true, false] {
        let mut region = reopened(Region::empty(), before).unwrap();
        region.load_as("nation", Format::Ndjson, "{\"n_nationkey\":6,\"n_name\":\"FRANCE\"}\n").unwrap();
        if flushed {
            region.flush();
        }
        let (dir, known) = (region.dir(), rows(&region.store.reader(), 2));
        let Region { root, store } = region;
        drop(store);
        let error = open(&dir, with_columns(after)).unwrap_err();
        assert!(matches!(&error, StoreError::Redescribed { dataset } if *dataset == name("nation")), "{error}");
        let region = Region { store: open(&dir, with_columns(before)).unwrap(), root };
        assert_eq!(rows(&region.store.reader(), 2), known);
    }
}

#[test]
fn no_row_gets_a_value_that_nobody_wrote_and_none_loses_one() {
    check_refused(&[], &[("note", ColumnType::Text, false)]);
    check_refused(&[NOTE], &[]);
    check_refused(&[NOTE], &[AREA]);
    check_refused(&[NOTE], &[("note", ColumnType::BigInt, true)]);
    check_refused(&[NOTE], &[AREA, NOTE]);
}
