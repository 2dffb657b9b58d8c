//! A disk whose reads can be held up, so that something else happens while a question is under way.

use std::any::Any;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use domicile_store::{Disk, DiskFile, LocalDisk, ReadAt};

/// Lets reads of segments pass, or holds them.
#[derive(Debug)]
pub(crate) struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    /// Told of each read that is held.
    held: Mutex<Sender<()>>,
}

impl Gate {
    /// An open gate, and what tells of reads that wait at it.
    pub(crate) fn new() -> (Arc<Self>, Receiver<()>) {
        let (held, waiting) = channel();
        (Arc::new(Self { closed: Mutex::new(false), opened: Condvar::new(), held: Mutex::new(held) }), waiting)
    }

    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap();
        if *closed {
            // Nobody has to listen.
            let _ = self.held.lock().unwrap().send(());
        }
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }
}

/// The local disk behind a gate.
#[derive(Debug)]
pub(crate) struct HeldDisk(pub(crate) Arc<Gate>);

#[derive(Debug)]
struct HeldFile {
    file: Arc<dyn DiskFile>,
    /// None for what is no segment.
    gate: Option<Arc<Gate>>,
}

impl HeldDisk {
    fn behind_gate(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let is_segment = path.extension() == Some(OsStr::new("parquet"));
        Arc::new(HeldFile { file, gate: is_segment.then(|| Arc::clone(&self.0)) })
    }
}

impl Disk for HeldDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.behind_gate(path, LocalDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.behind_gate(path, LocalDisk.open(path)?))
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

impl ReadAt for HeldFile {
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.gate.iter().for_each(|gate| gate.pass());
        self.file.read_at(offset, length)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

impl DiskFile for HeldFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_size(size)
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        self.file.reserve(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}
