//! What a load stores, and that it stays.

use domicile_store::{Ack, Format, StoreError};

use crate::fixture::{CUSTOMERS, LINES, NATIONS, ORDERS, Region, load_file, name, open, specs};

#[test]
fn rows_are_sorted_and_carry_the_entity() {
    let region = Region::filled();
    assert_eq!(region.rows("customer"), ["1|Adam, \"A\"|6|711.56||1", "2|Berta|7|-3.50|2021-02-28|2"]);
    assert_eq!(region.rows("orders"), ["10|1|1", "11|2|2", "12|2|2"]);
    assert_eq!(region.rows("lineitem"), ["10|1|3.00|1", "10|2|1.00|1", "12|1|5.00|2"]);
}

#[test]
fn reference_data_is_accepted_anywhere_and_has_no_entity() {
    let mut region = Region::empty();
    region.load("nation", NATIONS).unwrap();
    assert_eq!(region.rows("nation"), ["6|FRANCE", "7|GERMANY", "24|UNITED STATES"]);
}

#[test]
fn rows_are_the_same_after_a_reopen() {
    let region = Region::filled();
    let names = ["customer", "orders", "lineitem", "nation"];
    let before: Vec<_> = names.iter().map(|name| region.rows(name)).collect();
    let region = region.reopen(|_| {}).unwrap();
    assert_eq!(names.map(|name| region.rows(name)).to_vec(), before);
    let snapshot = region.store.reader().snapshot();
    assert_eq!(snapshot.version, 3);
    assert_eq!(snapshot.rows(&name("orders")), 3);
}

#[test]
fn a_later_load_adds_to_what_is_there() {
    let mut region = Region::filled();
    let report = region.load("orders", "o_custkey,o_orderkey\n1,9\n").unwrap();
    assert_eq!((report.rows, report.version, report.already_loaded), (1, 4, false));
    assert_eq!(region.rows("orders"), ["9|1|1", "10|1|1", "11|2|2", "12|2|2"]);
}

#[test]
fn a_snapshot_stays_as_it_is() {
    let mut region = Region::empty();
    let reader = region.store.reader();
    let before = reader.snapshot();
    region.load("customer", CUSTOMERS).unwrap();
    assert_eq!((before.version, before.rows(&name("customer"))), (0, 0));
    let after = reader.snapshot();
    assert_eq!((after.version, after.rows(&name("customer"))), (1, 2));
}

#[test]
fn a_batch_with_a_key_is_loaded_once_even_after_a_reopen() {
    let mut region = Region::empty();
    let first = region.load_once("customer", "a", CUSTOMERS).unwrap();
    region.load("orders", ORDERS).unwrap();
    let again = Ack { already_loaded: true, ..first };
    assert_eq!(region.load_once("customer", "a", CUSTOMERS).unwrap(), again);
    for flush in [false, true] {
        if flush {
            region.flush();
        }
        region = region.reopen(|_| {}).unwrap();
        let known = region.load_once("customer", "a", CUSTOMERS).unwrap();
        assert_eq!(known, again);
        let error = region.load_once("customer", "a", "c_custkey\n1\n").unwrap_err();
        assert!(matches!(error, StoreError::Header { .. }), "other content is looked at first: {error}");
        let error = region.load_once("customer", "a", &CUSTOMERS.replace("Berta", "Bella")).unwrap_err();
        assert!(matches!(error, StoreError::KeyReused { .. }), "{error}");
    }
    assert_eq!(region.store.reader().snapshot().version, 2);
}

#[test]
fn the_same_rows_without_a_key_come_again() {
    let mut region = Region::empty();
    region.load("nation", NATIONS).unwrap();
    let again = region.load("nation", NATIONS).unwrap();
    assert_eq!((again.version, again.already_loaded), (2, false));
}

#[test]
fn a_file_without_rows_loads_nothing() {
    let mut region = Region::empty();
    let report = region.load("nation", "n_nationkey,n_name\n").unwrap();
    assert_eq!((report.rows, report.version), (0, 1));
    region.flush();
    assert!(region.segment_files().is_empty());
}

#[test]
fn recent_rows_become_segments_and_stay_the_same() {
    let mut region = Region::filled();
    let names = ["customer", "orders", "lineitem"];
    let before = names.map(|name| region.rows(name));
    assert!(region.segment_files().is_empty());
    region.flush();
    assert_eq!(region.segment_files().len(), 3);
    assert_eq!(region.files("wal").len(), 1, "the log of what is in segments goes");
    assert_eq!(names.map(|name| region.rows(name)), before);
    let region = region.reopen(|_| {}).unwrap();
    assert_eq!(names.map(|name| region.rows(name)), before);
    assert_eq!(region.store.reader().snapshot().version, 3);
}

#[test]
fn an_upsert_replaces_and_a_delete_removes() {
    let mut region = Region::filled();
    for flush in [false, true] {
        region.load("lineitem", "l_orderkey,l_linenumber,l_quantity\n10,1,7\n10,3,8\n10,3,9\n").unwrap();
        region.delete("lineitem", "l_linenumber,l_orderkey\n2,10\n9,99\n").unwrap();
        if flush {
            region.flush();
        }
        region = region.reopen(|_| {}).unwrap();
        assert_eq!(region.rows("lineitem"), ["10|1|7.00|1", "10|3|9.00|1", "12|1|5.00|2"]);
    }
    region.load("lineitem", "l_orderkey,l_linenumber,l_quantity\n10,2,1\n").unwrap();
    assert_eq!(region.rows("lineitem")[1], "10|2|1.00|1", "a deleted key can come again");
    let error = region.delete("lineitem", "l_orderkey\n10\n").unwrap_err();
    assert!(matches!(error, StoreError::Header { .. }), "{error}");
}

#[test]
fn a_deleted_parent_is_no_parent() {
    let mut region = Region::filled();
    region.delete("customer", "c_custkey\n2\n").unwrap();
    for _ in 0..2 {
        let error = region.load("orders", "o_orderkey,o_custkey\n20,2\n").unwrap_err();
        assert!(matches!(error, StoreError::RowsRefused { refused: 1, .. }), "{error}");
        region.flush();
    }
}

#[test]
fn an_unknown_dataset_is_refused_with_the_nearest_name() {
    let mut region = Region::empty();
    let error = region.load("custome", CUSTOMERS).unwrap_err();
    assert_eq!(error.to_string(), "there is no dataset `custome`; did you mean `customer`?");
    assert!(matches!(region.store.reader().schema(&name("line")), Err(StoreError::UnknownDataset { .. })));
}

#[test]
fn a_missing_file_is_an_error() {
    let mut region = Region::empty();
    let error = load_file(&mut region.store, "orders", &region.root.path().join("none"), Format::Parquet);
    assert!(matches!(error, Err(StoreError::Io { .. })));
}

#[test]
fn the_directory_is_locked_while_it_is_open() {
    let fixture = Region::filled();
    let error = open(&fixture.dir(), specs()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked { path } if *path == fixture.dir()), "{error}");
    let mut fixture = fixture.reopen(|_| {}).unwrap();
    assert_eq!(fixture.load("lineitem", LINES).unwrap().version, 4);
}

#[test]
fn a_batch_that_was_acknowledged_is_known_again_whatever_came_since() {
    let mut region = Region::empty();
    region.load("customer", CUSTOMERS).unwrap();
    region.load_once("orders", "key", ORDERS).unwrap();
    region.delete("customer", "c_custkey\n2\n").unwrap();
    let again = region.load_once("orders", "key", ORDERS);
    assert!(again.as_ref().is_ok_and(|ack| ack.already_loaded), "{again:?}");
}
