//! Files of earlier versions: what any released version wrote, every later one reads.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use domicile_store::{LocalDisk, Sizes, Store, StoreParts};

use crate::batch::{Request, Text};
use crate::reader;
use crate::rng::Rng;
use crate::tables::{self, ACCOUNT, DAY_MS, FIRST_MS, ORDERS, Row, region, tables};

/// The format that the present code writes. A change of what is on the disk needs a new number and new files.
const FORMAT: u32 = 1;

/// What a directory has beside `store`: all rows, and all versions of them.
const ROWS: &str = "rows.txt";

fn dir(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/format/v{format}"))
}

fn open(dir: &Path) -> Store {
    let sizes = Sizes {
        batch_bytes_max: 3_000,
        chunk_rows_max: 40,
        log_file_bytes: 8_192,
        segment_rows_max: 20,
        compaction_fan_in: 2,
        ..Sizes::default()
    };
    let specs = tables().into_iter().map(|table| table.spec).collect();
    let parts = StoreParts::local(dir.to_owned(), region(), specs);
    Store::open(StoreParts { disk: std::sync::Arc::new(LocalDisk), sizes, ..parts }).unwrap()
}

fn send(store: &mut Store, request: &Request) {
    let table = &tables()[request.table];
    let prepared = store.preparer().prepare(request.batch(table), request.source(table), FIRST_MS).unwrap();
    store.commit(vec![prepared], FIRST_MS).swap_remove(0).unwrap();
}

/// Everything that can be read, line by line.
fn text(store: &Store) -> String {
    let snapshot = store.reader().snapshot();
    let mut text = String::new();
    for table in tables() {
        let found = reader::read(&snapshot, &table).unwrap();
        for row in found.rows.values() {
            writeln!(text, "{} {}", table.name(), line(row)).unwrap();
        }
        let mut versions: Vec<String> = found
            .versions
            .iter()
            .map(|version| {
                let (hlc, origin, epoch, seq) = &version.stamp;
                let entity = version.entity.as_deref().unwrap_or("-");
                let row = line(&version.row);
                format!("{} {hlc}.{origin}.{epoch}.{seq} {entity} {} {row}\n", table.name(), version.deleted)
            })
            .collect();
        versions.sort();
        text.extend(versions);
    }
    text
}

fn line(row: &Row) -> String {
    row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect::<Vec<_>>().join("|")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[track_caller]
fn check(format: u32) {
    let root = tempfile::TempDir::new().unwrap();
    copy(&dir(format).join("store"), root.path());
    let expected = fs::read_to_string(dir(format).join(ROWS)).unwrap();
    let mut store = open(root.path());
    assert_eq!(text(&store), expected, "as found");
    let known = Request { key: Some("logged".to_owned()), ..request(ACCOUNT, 3, 7_000) };
    let table = &tables()[ACCOUNT];
    let prepared = store.preparer().prepare(known.batch(table), known.source(table), 0).unwrap();
    assert!(store.commit(vec![prepared], 0).swap_remove(0).unwrap().already_loaded, "its keys are known");
    send(&mut store, &request(ORDERS, 3, 8_000));
    let more = text(&store);
    drop(store);
    assert_eq!(text(&open(root.path())), more, "with more rows");
}

#[test]
fn version_1_is_read() {
    check(1);
}

#[test]
fn every_version_has_a_test() {
    for format in 1.. {
        assert_eq!(dir(format).exists(), format <= FORMAT, "version {format}");
        if format > FORMAT {
            return;
        }
    }
}

fn request(table: usize, rows: u64, first_serial: u64) -> Request {
    let mut rng = Rng::new(first_serial);
    let mut rows: Vec<Row> =
        (first_serial..first_serial + rows).map(|serial| tables::row(table, serial, &mut rng)).collect();
    let tomorrow = (FIRST_MS / DAY_MS) as i32 + 1;
    rows.retain(|row| !tables()[table].may_be_expired(row, tomorrow));
    Request { table, delete: false, rows, key: None, format: Text::Ndjson }
}

fn work(store: &mut Store) {
    store.freeze_recent();
    while let Some(job) = store.next_job(FIRST_MS) {
        store.finish(job.run(&|_| {})).unwrap();
    }
}

/// Segments of compaction, of flushes and of large batches, deleted and replaced rows, and a log.
fn fill(store: &mut Store) {
    let anchors = (0..10_u64).map(|id| {
        let mut row = request(ACCOUNT, 1, id + 1).rows.remove(0);
        row[0] = Some(id.to_string());
        row
    });
    let anchors = Request { rows: anchors.collect(), ..request(ACCOUNT, 0, 0) };
    send(store, &anchors);
    let delete = |table: usize, first_serial: u64| {
        let mut request = Request { delete: true, ..request(table, 4, first_serial) };
        let keys = request.rows.iter().map(|row| tables()[table].identity(row));
        request.rows = keys.filter(|key| table != ACCOUNT || key[0].as_deref() > Some("3")).collect();
        request
    };
    for round in 1..=3 {
        for table in 0..tables().len() {
            let serial = round * 1_000 + table as u64 * 100;
            send(store, &request(table, 12, serial));
            if tables()[table].is_keyed() {
                send(store, &delete(table, serial + 50));
            }
        }
        if round < 3 {
            work(store);
        }
    }
    send(store, &Request { key: Some("large".to_owned()), ..request(tables::EVENT, 60, 5_000) });
    send(store, &Request { key: Some("large".to_owned()), ..request(tables::TALLY, 60, 6_000) });
    send(store, &Request { key: Some("logged".to_owned()), ..request(ACCOUNT, 3, 7_000) });
}

/// `DOMICILE_WRITE_FIXTURES=1 cargo test -p domicile-store --test simulation write_fixtures -- --ignored` writes the
/// files of the present format, which must not be there.
#[test]
#[ignore = "writes into the source tree"]
fn write_fixtures() {
    assert_eq!(std::env::var("DOMICILE_WRITE_FIXTURES").as_deref(), Ok("1"), "set it to write");
    let dir = dir(FORMAT);
    assert!(!dir.exists(), "{} is there; what was released is never written again", dir.display());
    let mut store = open(&dir.join("store"));
    fill(&mut store);
    fs::write(dir.join(ROWS), text(&store)).unwrap();
    drop(store);
    fs::remove_file(dir.join("store/LOCK")).unwrap();
}
