//! What an open makes of a directory that something happened to.

use std::fs;
use std::path::{Path, PathBuf};

use domicile_store::{DatasetSpec, ManifestProblem, Segment, SegmentProblem, Store, StoreError};

use crate::fixture::{Region, dataset, homes, name, region, specs};

fn segment(dir: &Path, dataset: &str) -> PathBuf {
    let files = fs::read_dir(dir.join("segments")).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with(dataset)).unwrap()
}

#[track_caller]
fn check_manifest(change: impl FnOnce(&Path), expect: &ManifestProblem) {
    let fixture = Region::filled();
    let path = fixture.dir().join("MANIFEST");
    let error = fixture.reopen(change).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("MANIFEST"), "{error}");
    match error {
        StoreError::Manifest { path: found, problem } => assert_eq!((found, &problem), (path, expect)),
        other => panic!("{other}"),
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_manifests() {
    check_manifest(
        |dir| edit(&dir.join("MANIFEST"), |bytes| *bytes.last_mut().unwrap() ^= 1),
        &ManifestProblem::Checksum,
    );
    check_manifest(
        |dir| edit(&dir.join("MANIFEST"), |bytes| bytes.truncate(bytes.len() / 2)),
        &ManifestProblem::Checksum,
    );
    check_manifest(|dir| edit(&dir.join("MANIFEST"), Vec::clear), &ManifestProblem::Format);
    check_manifest(|dir| edit(&dir.join("MANIFEST"), |bytes| bytes[18] = b'2'), &ManifestProblem::Format);
    check_manifest(|dir| fs::remove_file(dir.join("MANIFEST")).unwrap(), &ManifestProblem::Missing);
}

#[track_caller]
fn check_segment(change: impl FnOnce(&Path), expect: impl FnOnce(&SegmentProblem) -> bool) {
    let fixture = Region::filled();
    let path = segment(&fixture.dir(), "orders");
    let error = fixture.reopen(|_| change(&path)).map(|_| ()).unwrap_err();
    match error {
        StoreError::Segment { path: found, problem } => {
            assert_eq!(found, path);
            assert!(expect(&problem), "{problem}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn damaged_segments() {
    check_segment(|path| fs::remove_file(path).unwrap(), |problem| *problem == SegmentProblem::Missing);
    check_segment(
        |path| edit(path, |bytes| bytes.truncate(bytes.len() - 1)),
        |problem| matches!(problem, SegmentProblem::Size { expected, actual } if *expected == actual + 1),
    );
    check_segment(
        |path| edit(path, |bytes| *bytes.last_mut().unwrap() = 0),
        |problem| *problem == SegmentProblem::Damaged,
    );
}

#[test]
fn a_flipped_bit_in_the_data_is_found_by_verify() {
    let fixture = Region::filled();
    let segment = Segment::clone(&fixture.store.reader().snapshot().segments(&name("orders"))[0]);
    segment.verify().unwrap();
    edit(&segment.path, |bytes| bytes[10] ^= 1);
    assert!(matches!(segment.verify(), Err(StoreError::Segment { problem: SegmentProblem::Damaged, .. })));
}

#[test]
fn files_of_an_unfinished_load_are_removed() {
    let fixture = Region::filled();
    let files = fixture.segment_files();
    let fixture = fixture
        .reopen(|dir| {
            fs::copy(segment(dir, "orders"), dir.join("segments/orders-00000004-000-0123456789ab.parquet")).unwrap();
            fs::write(dir.join("segments/orders-00000004-001.tmp"), "half").unwrap();
            fs::write(dir.join("MANIFEST.tmp"), "half").unwrap();
            fs::write(dir.join("ledger"), "not the store's").unwrap();
        })
        .unwrap();
    assert_eq!(fixture.segment_files(), files);
    assert!(!fixture.dir().join("MANIFEST.tmp").exists());
    assert!(fixture.dir().join("ledger").exists());
    assert_eq!(fixture.rows("orders"), ["10|1|1", "11|2|2", "12|2|2"]);
}

/// Opens a filled store as another region or with other datasets, and expects the error's text.
#[track_caller]
fn check_reopen(id: &str, change: impl FnOnce(&mut Vec<DatasetSpec>), expect: Result<(), &str>) {
    let Region { root, store } = Region::filled();
    drop(store);
    let mut specs = specs();
    change(&mut specs);
    let opened = Store::open(&root.path().join("store"), region(id), specs);
    match (opened, expect) {
        (Ok(_), Ok(())) => {}
        (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{error}"),
        (got, _) => panic!("{got:?}"),
    }
}

#[test]
fn another_region_or_dataset() {
    check_reopen("us-east", |_| {}, Err("it belongs to region `eu-central`"));
    check_reopen(
        "eu-central",
        |specs| specs.retain(|spec| spec.dataset.name != name("lineitem")),
        Err("it holds dataset `lineitem`, which is not configured"),
    );
    let wider = |specs: &mut Vec<DatasetSpec>| {
        let columns = [
            ("o_orderkey", domicile_types::ColumnType::BigInt, false),
            ("o_custkey", domicile_types::ColumnType::BigInt, false),
            ("o_comment", domicile_types::ColumnType::Text, true),
        ];
        specs[1].dataset = dataset("orders", &columns, &["o_orderkey"]);
    };
    check_reopen("eu-central", wider, Err("its columns are not those of dataset `orders` as now described"));
}

#[test]
fn a_policy_that_moves_stored_rows() {
    check_reopen(
        "eu-central",
        |specs| specs[2].residency = homes(&[(6, "eu-central"), (7, "us-east")]),
        Err("dataset `customer` holds rows with c_nationkey = 7, whose home is us-east under the present policy"),
    );
    check_reopen(
        "eu-central",
        |specs| specs[2].residency = homes(&[(6, "eu-central")]),
        Err("c_nationkey = 7, whose home is nowhere"),
    );
    check_reopen(
        "eu-central",
        |specs| specs[2].residency = homes(&[(6, "eu-central"), (7, "eu-central"), (24, "ap-south")]),
        Ok(()),
    );
    check_reopen(
        "eu-central",
        |specs| specs[1].residency = domicile_types::Residency::Reference,
        Err("it follows `orders`, which is reference data and has no home"),
    );
    check_reopen(
        "eu-central",
        |specs| specs[0].residency = domicile_types::Residency::Reference,
        Err("dataset `lineitem` was stored under another residency rule"),
    );
}

#[test]
fn a_rule_that_no_row_was_checked_under_may_change() {
    let mut fixture = Region::empty();
    fixture.load("nation", "n_nationkey,n_name\n").unwrap();
    let Region { root, store } = fixture;
    drop(store);
    let mut specs = specs();
    specs[3].residency = domicile_types::Residency::Column {
        column: "n_nationkey".to_owned(),
        entity: "n_nationkey".to_owned(),
        homes: [(domicile_types::KeyValue::Integer(6), region("eu-central"))].into(),
    };
    Store::open(&root.path().join("store"), region("eu-central"), specs).unwrap();
}
