//! Recent rows, their log and the manifest stay bounded, with room on the disk and without.

use std::any::Any;
use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domicile_store::{
    Batch, DatasetSpec, Disk, DiskFile, Format, LocalDisk, Operation, Sizes, Source, Store, StoreParts,
};
use domicile_types::{ColumnType, Residency};
use tempfile::TempDir;

use crate::fixture::{NOW_MS, batch, commit, dataset, name, region};

fn texts_spec() -> Vec<DatasetSpec> {
    let columns = [("id", ColumnType::BigInt, false), ("text", ColumnType::Text, false)];
    vec![DatasetSpec { dataset: dataset("texts", &columns, &["id"]), residency: Residency::Reference }]
}

fn file_bytes(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// A disk on which at times no file can be made, as when it is out of inodes.
#[derive(Debug, Default)]
struct NoNewFiles(AtomicBool);

impl Disk for NoNewFiles {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if self.0.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(28));
        }
        LocalDisk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        LocalDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        LocalDisk.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        LocalDisk.lock(path)
    }
}

/// Batches without rows never let the log go on in a new file.
#[test]
fn batches_without_rows_do_not_grow_the_log_for_ever() {
    let root = TempDir::new().unwrap();
    let parts = StoreParts::local(root.path().join("store"), region("eu-central"), texts_spec());
    let sizes = Sizes { log_file_bytes: 16 * 1024, ..Sizes::default() };
    let mut store = Store::open(StoreParts { sizes, ..parts }).unwrap();
    for number in 0..500 {
        let key = Some(format!("{number:0>200}"));
        let batch = Batch { idempotency_key: key, ..batch("texts", Operation::Upsert, Format::Csv) };
        commit(&mut store, batch, Source::Stream(Box::new(Cursor::new("id,text\n")))).unwrap();
        while let Some(job) = store.next_job(NOW_MS) {
            store.finish(job.run(&|_| {})).unwrap();
        }
    }
    let bytes = file_bytes(&root.path().join("store/wal"));
    assert!(bytes < 64 * 1024, "the log has {bytes} bytes, a file of it may have about 16384");
}

/// A disk that is out of inodes: files can be written and none made.
#[test]
fn recent_rows_stay_bounded_where_the_log_cannot_go_on_in_a_new_file() {
    let root = TempDir::new().unwrap();
    let disk = Arc::new(NoNewFiles::default());
    let parts = StoreParts::local(root.path().join("store"), region("eu-central"), texts_spec());
    let sizes = Sizes { recent_bytes_max: 64 * 1024, log_file_bytes: 64 * 1024, ..Sizes::default() };
    let mut store = Store::open(StoreParts { sizes, disk: Arc::clone(&disk) as Arc<dyn Disk>, ..parts }).unwrap();
    disk.0.store(true, Ordering::SeqCst);
    let text = "x".repeat(64 * 1024);
    for id in 0..100 {
        let rows = format!("id,text\n{id},{text}\n");
        let source = Source::Stream(Box::new(Cursor::new(rows)));
        let _ = commit(&mut store, batch("texts", Operation::Upsert, Format::Csv), source);
        while let Some(job) = store.next_job(NOW_MS) {
            let _ = store.finish(job.run(&|_| {}));
        }
    }
    assert!(store.is_full() && !store.health().is_writable());
    let held = store.reader().snapshot().bytes(&name("texts"));
    assert!(held < 256 * 1024, "{held} bytes of recent rows, 65536 are allowed");
    disk.0.store(false, Ordering::SeqCst);
    while let Some(job) = store.next_job(NOW_MS) {
        store.finish(job.run(&|_| {})).unwrap();
    }
    let source = Source::Stream(Box::new(Cursor::new(
        "id,text
1000,a
",
    )));
    commit(&mut store, batch("texts", Operation::Upsert, Format::Csv), source).unwrap();
}

/// Without room for a new file the manifest grows in the old one, until it can be written anew.
#[test]
fn a_manifest_that_cannot_be_written_anew_goes_on() {
    let root = TempDir::new().unwrap();
    let disk = Arc::new(NoNewFiles::default());
    let parts = StoreParts::local(root.path().join("store"), region("eu-central"), texts_spec());
    let parts = StoreParts {
        sizes: Sizes { manifest_bytes: 1, ..Sizes::default() },
        disk: Arc::clone(&disk) as Arc<dyn Disk>,
        ..parts
    };
    let mut store = Store::open(parts.clone()).unwrap();
    let manifests = || {
        let names = fs::read_dir(root.path().join("store")).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| name.starts_with("MANIFEST-") && !name.ends_with(".tmp"));
        names
    };
    let (first, mut id) = (manifests(), 0);
    let mut flush = |store: &mut Store, full: bool| {
        let source = Source::Stream(Box::new(Cursor::new(format!("id,text\n{id},a\n"))));
        commit(store, batch("texts", Operation::Upsert, Format::Csv), source).unwrap();
        id += 1;
        store.freeze_recent();
        let done = store.next_job(NOW_MS).unwrap().run(&|_| {});
        disk.0.store(full, Ordering::SeqCst);
        let finished = store.finish(done);
        disk.0.store(false, Ordering::SeqCst);
        finished.unwrap();
    };
    (0..20).for_each(|_| flush(&mut store, true));
    assert_eq!(manifests(), first);
    (0..20).for_each(|_| flush(&mut store, false));
    assert_ne!(manifests(), first);
    assert_eq!(manifests().len(), 1);
    drop(store);
    let store = Store::open(parts).unwrap();
    assert_eq!(store.reader().snapshot().segments_len(&name("texts")), 40);
}
