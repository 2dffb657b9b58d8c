//! What a load stores, and that it stays.

use domicile_store::{FileFormat, LoadReport, Store, StoreError};

use crate::fixture::{CUSTOMERS, LINES, NATIONS, ORDERS, Region, name, region, specs};

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
    for segment in names.iter().flat_map(|dataset| snapshot.segments(&name(dataset))) {
        segment.verify().unwrap();
    }
}

#[test]
fn a_later_load_adds_to_what_is_there() {
    let mut region = Region::filled();
    let report = region.load("orders", "o_custkey,o_orderkey\n1,9\n").unwrap();
    assert_eq!((report.rows, report.version, report.already_loaded), (1, 4, false));
    assert_eq!(region.rows("orders"), ["10|1|1", "11|2|2", "12|2|2", "9|1|1"]);
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
    assert_eq!(after.bytes(&name("customer")), after.segments(&name("customer"))[0].bytes);
}

#[test]
fn the_same_bytes_are_loaded_once_even_after_a_reopen() {
    let mut region = Region::empty();
    let first = region.load("customer", CUSTOMERS).unwrap();
    region.load("orders", ORDERS).unwrap();
    let again = LoadReport { already_loaded: true, ..first };
    assert_eq!(region.load("customer", CUSTOMERS).unwrap(), again);
    let mut region = region.reopen(|_| {}).unwrap();
    assert_eq!(region.load("customer", CUSTOMERS).unwrap(), again);
    assert_eq!(region.store.reader().snapshot().version, 2);
}

#[test]
fn a_load_is_the_same_bytes_wherever_it_runs() {
    let digests = || {
        let region = Region::filled();
        let snapshot = region.store.reader().snapshot();
        ["customer", "orders", "lineitem"].map(|dataset| snapshot.segments(&name(dataset))[0].digest)
    };
    assert_eq!(digests(), digests());
}

#[test]
fn a_file_without_rows_loads_nothing() {
    let mut region = Region::empty();
    let report = region.load("nation", "n_nationkey,n_name\n").unwrap();
    assert_eq!((report.rows, report.bytes, report.version), (0, 0, 1));
    assert!(region.segment_files().is_empty());
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
    let error = region.store.load(&name("orders"), &region.root.path().join("none"), FileFormat::Parquet);
    assert!(matches!(error, Err(StoreError::Io { .. })));
}

#[test]
fn the_directory_is_locked_while_it_is_open() {
    let fixture = Region::filled();
    let error = Store::open(&fixture.dir(), region("eu-central"), specs()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked { path } if *path == fixture.dir()), "{error}");
    let mut fixture = fixture.reopen(|_| {}).unwrap();
    assert!(fixture.load("lineitem", LINES).unwrap().already_loaded);
}
