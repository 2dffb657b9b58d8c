//! Work in the background beside what goes on: commits, restores, the next start.

use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domicile_store::{
    Ack, BackupReport, BackupRequest, Batch, DatasetSpec, Format, Objects, Operation, ReadAt, Selection, Sizes, Source,
    Store, StoreError, StoreParts, restore,
};
use domicile_types::{ColumnType, Every, Lifecycle, Partitioning, Residency, TimePartition};
use tempfile::TempDir;

use crate::fixture::{batch, dataset, name, region};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 2024-07-01.
const NOW_MS: u64 = 19_905 * DAY_MS;

/// An object store.
#[derive(Debug, Default)]
struct Kept {
    objects: Mutex<BTreeMap<String, Bytes>>,
}

impl Objects for Kept {
    fn put(&self, name: &str, source: &dyn ReadAt) -> io::Result<()> {
        let mut objects = self.objects.lock().unwrap();
        let bytes = source.read_at(0, usize::try_from(source.size()?).unwrap())?;
        objects.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Bytes> {
        let objects = self.objects.lock().unwrap();
        let object = objects.get(name).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(offset).unwrap();
        Ok(object.slice(start..start + length))
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(name).ok_or(io::ErrorKind::NotFound)?.len() as u64)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        Ok(self.objects.lock().unwrap().keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.objects.lock().unwrap().remove(name);
        Ok(())
    }
}

fn events(lifecycle: Lifecycle) -> Vec<DatasetSpec> {
    let columns = [("day", ColumnType::Date, false), ("id", ColumnType::BigInt, false)];
    let partitioning =
        Partitioning { time: Some(TimePartition { column: "day".to_owned(), every: Every::Month }), by: Vec::new() };
    let events = dataset("events", &columns, &["day", "id"]).divided(partitioning, lifecycle).unwrap();
    vec![DatasetSpec { dataset: events, residency: Residency::Reference }]
}

fn send(
    store: &mut Store,
    dataset: &str,
    operation: Operation,
    key: Option<&str>,
    rows: &str,
) -> Result<Ack, StoreError> {
    let batch = Batch { idempotency_key: key.map(str::to_owned), ..batch(dataset, operation, Format::Csv) };
    let prepared = store.preparer().prepare(batch, Source::Stream(Box::new(Cursor::new(rows.to_owned()))), NOW_MS)?;
    store.commit(vec![prepared], NOW_MS).pop().unwrap()
}

/// The order of the store's own thread: what is done is taken in, what waits is committed, work is handed out.
#[test]
fn a_backup_is_made_though_batches_keep_coming() {
    let root = TempDir::new().unwrap();
    let parts = StoreParts::local(root.path().join("store"), region("eu-central"), events(Lifecycle::default()));
    let sizes = Sizes { recent_bytes_max: 16 * 1024, ..Sizes::default() };
    let mut store = Store::open(StoreParts { sizes, ..parts }).unwrap();
    let outcome: Arc<Mutex<Option<Result<BackupReport, StoreError>>>> = Arc::default();
    let mut next = 0_u64;
    let load = |store: &mut Store, next: &mut u64| {
        let rows: String = (*next..*next + 1000).map(|id| format!("2024-06-30,{id}\n")).collect();
        *next += 1000;
        send(store, "events", Operation::Upsert, None, &format!("day,id\n{rows}")).unwrap();
    };
    load(&mut store, &mut next);
    let told = Arc::clone(&outcome);
    let on_done = Box::new(move |done| *told.lock().unwrap() = Some(done));
    let objects = Arc::new(Kept::default());
    store.request_backup(BackupRequest { objects, selection: Selection::All, on_done }, NOW_MS).unwrap();
    for _ in 0..200 {
        let jobs: Vec<_> = std::iter::from_fn(|| store.next_job(NOW_MS)).collect();
        // While they run, a batch is committed that fills what may be recent, and the next has to wait.
        if !store.is_full() {
            load(&mut store, &mut next);
        }
        jobs.into_iter().for_each(|job| store.finish(job.run(&|_| {})).unwrap());
        if !store.is_full() {
            load(&mut store, &mut next);
        }
    }
    assert!(outcome.lock().unwrap().is_some(), "two hundred flushes later the backup has not begun");
}

/// What the batch did is undone by the restore; sent again, it has to be done again.
#[test]
fn a_delete_that_a_restore_undid_does_not_pass_for_done() {
    let root = TempDir::new().unwrap();
    let columns = [("id", ColumnType::BigInt, false), ("kind", ColumnType::Text, false)];
    let by = domicile_types::ValuePartition { column: "kind".to_owned(), buckets: None };
    let partitioning = Partitioning { time: None, by: vec![by] };
    let things = dataset("things", &columns, &["id"]).divided(partitioning, Lifecycle::default()).unwrap();
    let specs = vec![DatasetSpec { dataset: things, residency: Residency::Reference }];
    let parts = StoreParts::local(root.path().join("store"), region("eu-central"), specs);
    let mut store = Store::open(parts.clone()).unwrap();
    send(&mut store, "things", Operation::Upsert, None, "id,kind\n1,a\n2,a\n").unwrap();
    let objects: Arc<dyn Objects> = Arc::new(Kept::default());
    let request = BackupRequest {
        objects: Arc::clone(&objects),
        selection: Selection::All,
        on_done: Box::new(|done| drop(done.unwrap())),
    };
    store.request_backup(request, NOW_MS).unwrap();
    while let Some(job) = store.next_job(NOW_MS) {
        store.finish(job.run(&|_| {})).unwrap();
    }
    send(&mut store, "things", Operation::Delete, None, "id\n1\n").unwrap();
    store.freeze_recent();
    while let Some(job) = store.next_job(NOW_MS) {
        store.finish(job.run(&|_| {})).unwrap();
    }
    // The row is gone already, so this batch has no rows.
    send(&mut store, "things", Operation::Delete, Some("key"), "id\n1\n").unwrap();
    drop(store);
    restore(parts.clone(), &objects, None, &Selection::Dataset(name("things")), &|_| {}).unwrap();
    let mut store = Store::open(parts).unwrap();
    assert_eq!(crate::fixture::rows(&store.reader(), "things"), ["1|a", "2|a"]);
    let ack = send(&mut store, "things", Operation::Delete, Some("key"), "id\n1\n").unwrap();
    assert_eq!(crate::fixture::rows(&store.reader(), "things"), ["2|a"], "{ack:?}");
}

/// The lock goes with the store, and work that the store had given out goes on without it.
#[test]
fn work_of_a_closed_store_leaves_the_next_one_alone() {
    let root = TempDir::new().unwrap();
    let parts = StoreParts::local(root.path().join("store"), region("eu-central"), events(Lifecycle::default()));
    let mut first = Store::open(parts.clone()).unwrap();
    send(&mut first, "events", Operation::Upsert, None, "day,id\n2024-06-30,1\n").unwrap();
    first.freeze_recent();
    let flush = first.next_job(NOW_MS).unwrap();
    drop(first);
    assert!(matches!(Store::open(parts.clone()), Err(StoreError::Locked { .. })), "work of the first is not done");
    drop(flush.run(&|_| {}));
    let mut second = Store::open(parts.clone()).unwrap();
    second.freeze_recent();
    let done = second.next_job(NOW_MS).unwrap().run(&|_| {});
    second.finish(done).unwrap();
    let damage = |store: &Store| store.reader().snapshot().partitions(&name("events")).map(|_| ()).err();
    drop(second);
    let third = Store::open(parts).unwrap();
    assert!(damage(&third).is_none(), "{:?}", damage(&third));
}
