//! The end of the store's threads.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use domicile_store::{BackupRequest, Objects, ReadAt, Selection, StoreParts};
use domicile_types::RegionId;
use tempfile::TempDir;

use super::*;

/// Takes one object, for as long as the store's owner is there and a while longer.
#[derive(Debug)]
struct Slow {
    owner: BlockingMutex<Sender<Request>>,
    begun: BlockingMutex<Sender<()>>,
    done: Arc<AtomicBool>,
}

impl Objects for Slow {
    fn put(&self, _: &str, _: &dyn ReadAt) -> io::Result<()> {
        self.begun.lock().unwrap().send(()).unwrap();
        while self.owner.lock().unwrap().send(Request::Run(Box::new(|_| {}))).is_ok() {
            thread::yield_now();
        }
        (0..1000).for_each(|_| thread::yield_now());
        self.done.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn read_at(&self, _: &str, _: u64, _: usize) -> io::Result<Bytes> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn size(&self, _: &str) -> io::Result<u64> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_is_at_work_once_it_is_dropped() {
    let dir = TempDir::new().unwrap();
    let here: RegionId = "eu-central".parse().unwrap();
    let store = Store::open(StoreParts::local(dir.path().join("store"), here, Vec::new())).unwrap();
    let storage = Storage::start(store, dir.path().to_owned(), 1).unwrap();
    let ((begun, begins), done) = (channel(), Arc::new(AtomicBool::new(false)));
    let owner = BlockingMutex::new(storage.requests.clone());
    let objects = Arc::new(Slow { owner, begun: BlockingMutex::new(begun), done: Arc::clone(&done) });
    let request = BackupRequest { objects, selection: Selection::All, on_done: Box::new(|_| {}) };
    let asked = Request::Run(Box::new(move |store| drop(store.request_backup(request, 1).unwrap())));
    storage.requests.send(asked).unwrap();
    begins.recv().unwrap();
    drop(storage);
    assert!(done.load(Ordering::SeqCst), "a job goes on");
}
