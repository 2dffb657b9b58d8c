//! A disk that fails at each operation in turn: a load is there as a whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domicile_store::{Disk, FileFormat, LocalDisk, Store, StoreError};

use crate::fixture::{CUSTOMERS, ORDERS, Region, name, region, rows, specs};

/// Fails at the operation of a given number, and after a crash at every later one.
#[derive(Debug)]
struct FaultyDisk {
    left: AtomicUsize,
    crashes: bool,
    failed: AtomicBool,
}

impl FaultyDisk {
    fn new(operations: usize, crashes: bool) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(operations), crashes, failed: AtomicBool::new(false) })
    }

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

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.step()?;
        LocalDisk.create(path)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step()?;
        LocalDisk.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        LocalDisk.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        LocalDisk.sync_dir(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        LocalDisk.remove(path)
    }
}

/// Loads orders while operation `fail_at` fails. Gives whether the load succeeded.
#[track_caller]
fn check(fail_at: usize, crashes: bool) -> bool {
    let mut fixture = Region::empty();
    fixture.load("customer", CUSTOMERS).unwrap();
    let Region { root, store } = fixture;
    drop(store);
    let dir = root.path().join("store");
    let before = fs::read_dir(dir.join("segments")).unwrap().count();

    let disk = FaultyDisk::new(fail_at, crashes);
    let mut store = Store::open_with(disk, &dir, region("eu-central"), specs()).unwrap();
    let file = root.path().join("upload");
    fs::write(&file, ORDERS).unwrap();
    let loaded = store.load(&name("orders"), &file, FileFormat::Csv);
    let visible = rows(&store.reader(), "orders").len();
    assert_eq!(visible, if loaded.is_ok() { 3 } else { 0 });
    let again = store.load(&name("orders"), &file, FileFormat::Csv);
    let unknown = matches!(again, Err(StoreError::Poisoned { .. }));
    if loaded.is_err() && !crashes && !unknown {
        assert!(!again.unwrap().already_loaded, "the second attempt is a load of its own");
    }
    drop(store);

    let mut store = Store::open(&dir, region("eu-central"), specs()).unwrap();
    let stored = rows(&store.reader(), "orders").len();
    assert!(if loaded.is_ok() { stored == 3 } else { [0, 3].contains(&stored) }, "{stored} rows");
    if loaded.is_err() && crashes && !unknown {
        assert_eq!(stored, 0, "a load that failed before the commit left rows");
    }
    let report = store.load(&name("orders"), &file, FileFormat::Csv).unwrap();
    assert_eq!(report.already_loaded, stored == 3);
    assert_eq!(rows(&store.reader(), "orders"), ["10|1|1", "11|2|2", "12|2|2"]);
    assert_eq!(fs::read_dir(dir.join("segments")).unwrap().count(), before + 1);
    assert!(!dir.join("MANIFEST.tmp").exists());
    loaded.is_ok()
}

#[test]
fn every_operation_fails_once() {
    let failures = (0..100).take_while(|fail_at| !check(*fail_at, false)).count();
    assert_eq!(failures, 8, "create, sync, rename, sync_dir of a segment, then the same of the manifest");
}

#[test]
fn a_crash_at_every_operation() {
    let failures = (0..100).take_while(|fail_at| !check(*fail_at, true)).count();
    assert_eq!(failures, 8);
}

#[test]
fn a_failure_leaves_no_files() {
    for fail_at in 0..6 {
        let root = tempfile::TempDir::new().unwrap();
        // Making the manifest of an empty store takes four operations.
        let disk = FaultyDisk::new(4 + fail_at, false);
        let mut store = Store::open_with(disk, root.path(), region("eu-central"), specs()).unwrap();
        let file = root.path().join("upload");
        fs::write(&file, CUSTOMERS).unwrap();
        store.load(&name("customer"), &file, FileFormat::Csv).unwrap_err();
        assert_eq!(fs::read_dir(root.path().join("segments")).unwrap().count(), 0, "operation {fail_at}");
        assert!(!root.path().join("MANIFEST.tmp").exists());
    }
}
