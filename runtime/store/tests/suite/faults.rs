//! A disk that fails at each operation in turn: a batch is there as a whole or not at all.

use std::any::Any;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use domicile_store::{Disk, DiskFile, Format, LocalDisk, ReadAt, Sizes, Store, StoreError, StoreParts};

use crate::fixture::{CUSTOMERS, NOW_MS, ORDERS, Region, load_file, open, region, rows, specs};

/// Fails at the operation of a given number, and after a crash at every later one.
#[derive(Debug)]
struct Faults {
    left: AtomicUsize,
    crashes: bool,
    failed: AtomicBool,
}

impl Faults {
    fn step(&self) -> io::Result<()> {
        if self.failed.load(Ordering::SeqCst) {
            return if self.crashes { Err(io::Error::other("crashed")) } else { Ok(()) };
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.failed.store(true, Ordering::SeqCst);
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyDisk(Arc<Faults>);

#[derive(Debug)]
struct FaultyFile(Arc<dyn DiskFile>, Arc<Faults>);

impl FaultyDisk {
    fn new(operations: usize, crashes: bool) -> Arc<Self> {
        let (left, failed) = (AtomicUsize::new(operations), AtomicBool::new(false));
        Arc::new(Self(Arc::new(Faults { left, crashes, failed })))
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile(file, Arc::clone(&self.0)))
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.step()?;
        Ok(self.wrap(LocalDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(LocalDisk.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step()?;
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        LocalDisk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        LocalDisk.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.step()?;
        LocalDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        LocalDisk.lock(path)
    }
}

impl ReadAt for FaultyFile {
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.0.read_at(offset, length)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.step()?;
        self.0.write_at(offset, bytes)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.1.step()?;
        self.0.set_size(size)
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        self.1.step()?;
        self.0.reserve(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.step()?;
        self.0.sync()
    }
}

/// Which way a batch takes.
#[derive(Clone, Copy)]
enum Way {
    Log,
    Segments,
}

fn open_on(disk: Arc<FaultyDisk>, dir: &Path, way: Way) -> Result<Store, StoreError> {
    let batch_bytes_max = match way {
        Way::Log => usize::MAX,
        Way::Segments => 0,
    };
    let sizes = Sizes { batch_bytes_max, log_file_bytes: 16 * 1024, ..Sizes::default() };
    let parts = StoreParts::local(dir.to_owned(), region("eu-central"), specs());
    Store::open(StoreParts { disk, sizes, ..parts })
}

/// Loads orders and makes segments of all rows while operation `fail_at` fails. Gives whether nothing failed.
#[track_caller]
fn check(fail_at: usize, crashes: bool, way: Way) -> bool {
    let mut fixture = Region::empty();
    fixture.load("customer", CUSTOMERS).unwrap();
    let Region { root, store } = fixture;
    drop(store);
    let dir = root.path().join("store");
    let file = root.path().join("upload");
    fs::write(&file, ORDERS).unwrap();

    let disk = FaultyDisk::new(fail_at, crashes);
    let faults = Arc::clone(&disk.0);
    let mut stored = None;
    let mut flushed = false;
    if let Ok(mut store) = open_on(disk, &dir, way) {
        let loaded = load_file(&mut store, "orders", &file, Format::Csv);
        assert_eq!(rows(&store.reader(), "orders").len(), if loaded.is_ok() { 3 } else { 0 });
        stored = Some(loaded.is_ok());
        store.freeze_recent();
        if let Some(job) = store.next_job(NOW_MS) {
            flushed = store.finish(job.run(&|_| {})).is_ok();
        }
        assert_eq!(rows(&store.reader(), "orders").len(), if loaded.is_ok() { 3 } else { 0 });
        if !crashes && store.health().is_writable() && load_file(&mut store, "orders", &file, Format::Csv).is_ok() {
            stored = Some(true);
        }
    }

    let mut store = open(&dir, specs()).unwrap();
    let found = rows(&store.reader(), "orders").len();
    match stored {
        Some(true) => assert_eq!(found, 3, "an acknowledged batch"),
        _ => assert!([0, 3].contains(&found), "{found} rows"),
    }
    assert_eq!(rows(&store.reader(), "customer").len(), 2);
    load_file(&mut store, "orders", &file, Format::Csv).unwrap();
    assert_eq!(rows(&store.reader(), "orders"), ["10|1|1", "11|2|2", "12|2|2"]);
    let unfinished = |dir: &str| {
        let files = fs::read_dir(root.path().join("store").join(dir)).unwrap();
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "tmp")).count()
    };
    assert_eq!((unfinished("."), unfinished("segments"), unfinished("wal")), (0, 0, 0));
    let whole = !faults.failed.load(Ordering::SeqCst);
    assert!(!whole || flushed);
    whole
}

#[test]
fn every_operation_fails_once() {
    for way in [Way::Log, Way::Segments] {
        let failures = (0..100).take_while(|fail_at| !check(*fail_at, false, way)).count();
        assert!((10..100).contains(&failures), "{failures}");
    }
}

#[test]
fn a_crash_at_every_operation() {
    for way in [Way::Log, Way::Segments] {
        let failures = (0..100).take_while(|fail_at| !check(*fail_at, true, way)).count();
        assert!((10..100).contains(&failures), "{failures}");
    }
}

#[test]
fn a_refused_or_failed_batch_leaves_no_files() {
    let mut failed = 0;
    for fail_at in 0..40 {
        let root = tempfile::TempDir::new().unwrap();
        let file = root.path().join("upload");
        let Ok(mut store) = open_on(FaultyDisk::new(fail_at, false), &root.path().join("store"), Way::Segments) else {
            continue;
        };
        fs::write(&file, CUSTOMERS).unwrap();
        if load_file(&mut store, "customer", &file, Format::Csv).is_err() && store.health().is_writable() {
            failed += 1;
            assert_eq!(fs::read_dir(root.path().join("store/segments")).unwrap().count(), 0, "operation {fail_at}");
        }
    }
    assert!(failed > 3, "{failed}");
}
