//! What an open makes of a directory that something happened to.

use std::fs;
use std::path::{Path, PathBuf};

use domicile_store::{DatasetSpec, ManifestProblem, SegmentProblem, Store, StoreError, StoreParts};
use domicile_types::{Column, ColumnType, Dataset};

use crate::fixture::{LINES, NATIONS, Region, dataset, homes, name, open, region, specs};

fn segment(dir: &Path, dataset: &str) -> PathBuf {
    let files = fs::read_dir(dir.join("segments")).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with(dataset)).unwrap()
}

/// A store with rows in segments and in the log.
fn stored() -> Region {
    let mut region = Region::filled();
    region.flush();
    region.load("orders", "o_orderkey,o_custkey\n13,1\n").unwrap();
    region
}

#[track_caller]
fn check_manifest(change: impl FnOnce(&Path), expect: &ManifestProblem) {
    let error = stored().reopen(change).map(|_| ()).unwrap_err();
    match error {
        StoreError::Manifest { problem, .. } => assert_eq!(&problem, expect),
        other => panic!("{other}"),
    }
}

pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

pub(crate) fn manifest(dir: &Path) -> PathBuf {
    let named = fs::read_to_string(dir.join("CURRENT")).unwrap();
    dir.join(named.split_whitespace().next().unwrap())
}

#[test]
fn damaged_manifests() {
    check_manifest(|dir| edit(&manifest(dir), |bytes| bytes[20] ^= 1), &ManifestProblem::Checksum { offset: 8 });
    check_manifest(|dir| edit(&manifest(dir), Vec::clear), &ManifestProblem::Format);
    check_manifest(|dir| edit(&manifest(dir), |bytes| bytes[7] = b'2'), &ManifestProblem::Format);
    check_manifest(|dir| fs::remove_file(manifest(dir)).unwrap(), &ManifestProblem::Missing);
    check_manifest(|dir| fs::remove_file(dir.join("CURRENT")).unwrap(), &ManifestProblem::Missing);
}

#[test]
fn an_edit_that_was_not_finished_is_cut_off() {
    let torn = |bytes: &mut Vec<u8>| bytes.extend_from_slice(&[40, 0, 0, 0, 1, 2, 3, 4, b'{']);
    let region = stored().reopen(|dir| edit(&manifest(dir), torn)).unwrap();
    assert_eq!(region.rows("orders"), ["10|1|1", "11|2|2", "12|2|2", "13|1|1"]);
}

/// Damages the segment of the orders, and expects that they are refused and the rest is there.
#[track_caller]
fn check_segment(change: impl FnOnce(&Path), expect: impl FnOnce(&SegmentProblem) -> bool) {
    let fixture = stored();
    let path = segment(&fixture.dir(), "orders");
    let fixture = fixture.reopen(|_| change(&path)).unwrap();
    assert_eq!(fixture.rows("lineitem").len(), 3);
    let snapshot = fixture.store.reader().snapshot();
    let read = snapshot.partitions(&name("orders")).and_then(|partitions| partitions[0].segments[0].metadata());
    let error = read.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
    let error = match error {
        StoreError::Damaged { source, .. } => source,
        other => other.into(),
    };
    assert!(matches!(error.as_ref(), StoreError::Segment { problem, .. } if expect(problem)), "{error}");
    let said = StoreError::Damaged { dataset: name("orders"), source: error }.to_string();
    assert_eq!(said.matches("restore").count(), 1, "advice is given once: {said}");
}

#[test]
fn damaged_segments() {
    check_segment(|path| fs::remove_file(path).unwrap(), |problem| *problem == SegmentProblem::Missing);
    check_segment(
        |path| edit(path, |bytes| bytes.truncate(bytes.len() - 1)),
        |problem| matches!(problem, SegmentProblem::Size { expected, actual } if *expected == actual + 1),
    );
    check_segment(
        |path| edit(path, |bytes| bytes[10] ^= 1),
        |problem| matches!(problem, SegmentProblem::Checksum { first: 0, last } if *last > 10 && *last < 10_000),
    );
}

/// Damages the log, whose records are: customers, orders, lines. Expects which datasets can be read then.
#[track_caller]
fn check_log(change: impl FnOnce(&mut Vec<u8>), readable: &[&str], writable: bool) {
    let mut fixture = Region::filled().reopen(|dir| edit(&dir.join("wal/0000000001.wal"), change)).unwrap();
    let snapshot = fixture.store.reader().snapshot();
    let reads = |dataset: &&&str| snapshot.partitions(&name(dataset)).is_ok();
    assert_eq!(
        ["customer", "orders", "lineitem", "nation"].iter().filter(reads).copied().collect::<Vec<_>>(),
        readable
    );
    match (fixture.load("nation", NATIONS), writable) {
        (Ok(_), true) => assert!(fixture.store.health().problem().is_none()),
        (Err(error), false) => {
            let problem = fixture.store.health().problem().unwrap();
            assert!(matches!(problem.as_ref(), StoreError::Log { .. }), "{problem}");
            assert!(error.to_string().contains("0000000001.wal cannot be read at offset"), "{error}");
        }
        (got, _) => panic!("{got:?}"),
    }
}

/// Offsets of the records.
pub(crate) fn records(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len() - 4).step_by(8).filter(|at| bytes[*at..].starts_with(b"DREC")).collect()
}

#[test]
fn a_damaged_log_gives_what_is_whole_and_takes_nothing_more() {
    let all = ["customer", "orders", "lineitem", "nation"];
    check_log(|_| {}, &all, true);
    let in_header = |bytes: &mut Vec<u8>| {
        let at = records(bytes)[1];
        bytes[at + 20] ^= 1;
    };
    check_log(in_header, &["customer", "lineitem", "nation"], false);
    let in_rows = |bytes: &mut Vec<u8>| {
        let at = records(bytes)[1];
        bytes[at + 200] ^= 1;
    };
    check_log(in_rows, &["customer", "lineitem", "nation"], false);
    let two = |bytes: &mut Vec<u8>| {
        for at in &records(bytes)[..2] {
            bytes[at + 20] ^= 1;
        }
    };
    check_log(two, &[], false);
}

#[test]
fn a_torn_end_of_the_log_is_cut_off() {
    for cut in [1, 9, 100, 200] {
        let tear = |bytes: &mut Vec<u8>| {
            let at = records(bytes)[2] + cut;
            bytes[at..].fill(0xEE);
        };
        let path = "wal/0000000001.wal";
        let torn = |dir: &Path| {
            edit(&dir.join(path), tear);
            // A crash that tears the end off comes before it is noted as synced.
            fs::remove_file(dir.join("SYNCED")).unwrap();
        };
        let mut fixture = Region::filled().reopen(torn).unwrap();
        assert_eq!((fixture.rows("orders").len(), fixture.rows("lineitem").len()), (3, 0));
        fixture.load("lineitem", LINES).unwrap();
        let fixture = fixture.reopen(|_| {}).unwrap();
        assert_eq!(fixture.rows("lineitem").len(), 3);
    }
}

#[test]
fn files_that_nothing_refers_to_are_removed() {
    let fixture = stored();
    let (segments, logs) = (fixture.segment_files(), fixture.files("wal"));
    let fixture = fixture
        .reopen(|dir| {
            fs::copy(segment(dir, "orders"), dir.join("segments/orders-0000000099-0123456789ab.parquet")).unwrap();
            fs::write(dir.join("segments/orders-0000000100.tmp"), "half").unwrap();
            fs::write(dir.join("wal/0000000001.wal"), "old").unwrap();
            fs::write(dir.join("MANIFEST-000009"), "old").unwrap();
            fs::write(dir.join("CURRENT.tmp"), "half").unwrap();
            fs::write(dir.join("ledger"), "not the store's").unwrap();
        })
        .unwrap();
    assert_eq!((fixture.segment_files(), fixture.files("wal")), (segments, logs));
    let names = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let expect = ["CURRENT", "LOCK", "MANIFEST-000001", "SYNCED", "ledger", "segments", "wal"];
    assert_eq!(fixture.files(".").iter().map(names).collect::<Vec<_>>(), expect);
    assert_eq!(fixture.rows("orders").len(), 4);
}

/// Opens a filled store as another region or with other datasets, and expects the error's text.
#[track_caller]
fn check_reopen(id: &str, change: impl FnOnce(&mut Vec<DatasetSpec>), expect: Result<(), &str>) {
    let Region { root, store } = stored();
    drop(store);
    let mut specs = specs();
    change(&mut specs);
    let opened = Store::open(StoreParts::local(root.path().join("store"), region(id), specs));
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
            ("o_comment", domicile_types::ColumnType::Text, false),
        ];
        specs[1].dataset = dataset("orders", &columns, &["o_orderkey"]);
    };
    check_reopen("eu-central", wider, Err("dataset `orders` has rows that were stored under another description"));
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
    open(&root.path().join("store"), specs).unwrap();
}

/// Describes the nations otherwise than when they were stored, and expects that the store says so and is as it was.
#[track_caller]
fn check_redescribed(change: impl Fn(&mut Dataset)) {
    for flushed in [true, false] {
        let mut stored = Region::filled();
        stored.load("nation", NATIONS).unwrap();
        if flushed {
            stored.flush();
        }
        let (dir, rows) = (stored.dir(), stored.rows("nation"));
        let Region { root, store } = stored;
        drop(store);
        let mut described = specs();
        change(&mut described[3].dataset);
        let error = open(&dir, described).unwrap_err();
        assert!(matches!(&error, StoreError::Redescribed { dataset } if *dataset == name("nation")), "{error}");
        for said in ["dataset `nation` has rows", "another description", "put its dataset file back", "new dataset"] {
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(!error.to_string().contains(".parquet"), "{error}");
        assert_eq!(Region { root, store: open(&dir, specs()).unwrap() }.rows("nation"), rows);
    }
}

#[test]
fn descriptions_stay_as_they_are_once_rows_are_stored() {
    let note = Column { name: "note".to_owned(), kind: ColumnType::Text, nullable: true };
    check_redescribed(|nation| nation.columns.insert(1, note.clone()));
    check_redescribed(|nation| nation.columns[1].kind = ColumnType::BigInt);
    check_redescribed(|nation| drop(nation.columns.pop()));
    check_redescribed(|nation| nation.primary_key.push("n_name".to_owned()));
}
