//! A store with a dataset of keyed events by month and one of notes without a key, and a model of what it holds.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Int32Type, Int64Type, UInt8Type, UInt32Type, UInt64Type};
use domicile_store::{
    Ack, Batch, DatasetSpec, Format, Job, OP_TOMBSTONE, Operation, Prepared, ReadGroup, Segment, Sizes, Snapshot,
    Source, Store, StoreError, StoreParts,
};
use domicile_types::{
    Column, ColumnType, Dataset, DatasetName, Every, Lifecycle, Partitioning, RegionId, Residency, TimePartition,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::disk::{Lies, SimDisk};
use crate::objects::MemoryObjects;

pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 2024-07-01.
pub(crate) const TODAY: i32 = 19_905;
pub(crate) const NOW_MS: u64 = TODAY as u64 * DAY_MS;

/// A version of an event: what orders it, what it is, and its value.
type Newest = ((u64, String, u32, u64), u8, Option<i64>);

/// Value of an event by day and number.
pub(crate) type Events = BTreeMap<(i32, i64), i64>;

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) cold: MemoryObjects,
    pub(crate) parts: StoreParts,
    pub(crate) store: Option<Store>,
    pub(crate) now_ms: u64,
    pub(crate) events: Events,
    pub(crate) notes: Vec<i64>,
}

pub(crate) fn name(text: &str) -> DatasetName {
    text.parse().unwrap()
}

pub(crate) fn region() -> RegionId {
    "eu-central".parse().unwrap()
}

fn column(name: &str, kind: ColumnType) -> Column {
    Column { name: name.to_owned(), kind, nullable: false }
}

pub(crate) fn specs(lifecycle: Lifecycle) -> Vec<DatasetSpec> {
    let columns =
        vec![column("day", ColumnType::Date), column("id", ColumnType::BigInt), column("value", ColumnType::BigInt)];
    let partitioning =
        Partitioning { time: Some(TimePartition { column: "day".to_owned(), every: Every::Month }), by: Vec::new() };
    let events = Dataset::new(name("events"), columns, vec!["day".to_owned(), "id".to_owned()]).unwrap();
    let events = events.divided(partitioning, lifecycle).unwrap();
    let notes = Dataset::new(name("notes"), vec![column("note", ColumnType::BigInt)], Vec::new()).unwrap();
    let spec = |dataset| DatasetSpec { dataset, residency: Residency::Reference };
    vec![spec(events), spec(notes)]
}

pub(crate) fn tiny() -> Sizes {
    Sizes {
        batch_bytes_max: 2048,
        chunk_rows_max: 64,
        log_file_bytes: 16 * 1024,
        manifest_bytes: 4096,
        segment_rows_max: 100,
        compaction_fan_in: 4,
        small_run_bytes: 4096,
        ..Sizes::default()
    }
}

impl World {
    pub(crate) fn new(seed: u64, lifecycle: Lifecycle) -> Self {
        let disk = SimDisk::new(seed, Lies::default());
        let cold = MemoryObjects::default();
        let parts = StoreParts {
            disk: Arc::new(disk.clone()),
            cold: Some(Arc::new(cold.clone())),
            sizes: tiny(),
            ..StoreParts::local(PathBuf::from("/store"), region(), specs(lifecycle))
        };
        let store = Some(Store::open(parts.clone()).unwrap());
        Self { disk, cold, parts, store, now_ms: NOW_MS, events: Events::new(), notes: Vec::new() }
    }

    pub(crate) fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.store.as_ref().unwrap().reader().snapshot()
    }

    pub(crate) fn prepare(&self, dataset: &str, operation: Operation, rows: &str) -> Result<Prepared, StoreError> {
        let batch = Batch { dataset: name(dataset), operation, format: Format::Csv, idempotency_key: None };
        let source = Source::Stream(Box::new(Cursor::new(rows.to_owned().into_bytes())));
        self.store.as_ref().unwrap().preparer().prepare(batch, source, self.now_ms)
    }

    pub(crate) fn commit(&mut self, prepared: Prepared) -> Result<Ack, StoreError> {
        let now_ms = self.now_ms;
        self.store().commit(vec![prepared], now_ms).remove(0)
    }

    /// Stores events of the present value, and notes them in the model.
    pub(crate) fn upsert(&mut self, rows: impl IntoIterator<Item = (i32, i64, i64)>) {
        let rows: Vec<_> = rows.into_iter().collect();
        let prepared = self.prepare("events", Operation::Upsert, &csv(&rows)).unwrap();
        self.commit(prepared).unwrap();
        self.events.extend(rows.into_iter().map(|(day, id, value)| ((day, id), value)));
    }

    pub(crate) fn delete(&mut self, rows: impl IntoIterator<Item = (i32, i64)>) {
        let mut text = "day,id\n".to_owned();
        for (day, id) in rows {
            text += &format!("{},{id}\n", date(day));
            self.events.remove(&(day, id));
        }
        let prepared = self.prepare("events", Operation::Delete, &text).unwrap();
        self.commit(prepared).unwrap();
    }

    pub(crate) fn note(&mut self, notes: impl IntoIterator<Item = i64>) {
        let notes: Vec<i64> = notes.into_iter().collect();
        let text = notes.iter().fold("note\n".to_owned(), |text, note| format!("{text}{note}\n"));
        let prepared = self.prepare("notes", Operation::Upsert, &text).unwrap();
        self.commit(prepared).unwrap();
        self.notes.extend(notes);
    }

    /// The next job, where one is due.
    pub(crate) fn job(&mut self) -> Option<Job> {
        let now_ms = self.now_ms;
        self.store().next_job(now_ms)
    }

    /// Runs the next job. Gives the bytes that its pace was told of; none where none is due.
    pub(crate) fn step(&mut self) -> Option<Result<u64, StoreError>> {
        let job = self.job()?;
        let moved = Cell::new(0);
        let done = job.run(&|bytes| moved.set(moved.get() + bytes));
        Some(self.store().finish(done).map(|()| moved.get()))
    }

    /// Writes the recent rows to segments, and nothing else.
    pub(crate) fn flush(&mut self) {
        self.store().freeze_recent();
        self.step().unwrap().unwrap();
    }

    /// Does all that is due; gives how many jobs that were.
    #[track_caller]
    pub(crate) fn settle(&mut self) -> usize {
        for jobs in 0..1000 {
            match self.step() {
                None => return jobs,
                Some(done) => drop(done.unwrap()),
            }
        }
        panic!("the jobs do not end");
    }

    pub(crate) fn reopen(&mut self) -> Result<(), StoreError> {
        self.store = None;
        self.disk.kill();
        self.store = Some(Store::open(self.parts.clone())?);
        Ok(())
    }

    /// Compares what the store holds with the model.
    #[track_caller]
    pub(crate) fn check(&self) {
        let snapshot = self.snapshot();
        assert_eq!(events(&snapshot), self.events);
        let (mut stored, mut notes) = (notes(&snapshot), self.notes.clone());
        stored.sort_unstable();
        notes.sort_unstable();
        assert_eq!(stored, notes);
    }

    /// Whether an object in cold storage is a segment of the store.
    pub(crate) fn is_segment(&self, object: &str) -> bool {
        let partitions = self.snapshot().partitions(&name("events")).unwrap();
        partitions
            .iter()
            .flat_map(|partition| &partition.segments)
            .any(|segment| segment.location() == Path::new(object))
    }

    /// The segments' files, which have to be those of the snapshot once nobody holds another.
    #[track_caller]
    pub(crate) fn check_files(&self) {
        let dir = Path::new("/store/segments");
        let mut files: Vec<PathBuf> = self.disk.paths().into_iter().filter(|path| path.starts_with(dir)).collect();
        files.sort();
        let snapshot = self.snapshot();
        let partitions =
            ["events", "notes"].into_iter().flat_map(|dataset| snapshot.partitions(&name(dataset)).unwrap());
        let segments: Vec<Arc<Segment>> = partitions.flat_map(|partition| partition.segments.clone()).collect();
        let mut named: Vec<PathBuf> =
            segments.iter().map(|segment| segment.location()).filter(|path| path.is_absolute()).collect();
        named.sort();
        assert_eq!(files, named);
    }
}

pub(crate) fn date(day: i32) -> String {
    arrow::util::display::array_value_to_string(&arrow::array::Date32Array::from(vec![day]), 0).unwrap()
}

pub(crate) fn csv(rows: &[(i32, i64, i64)]) -> String {
    rows.iter()
        .fold("day,id,value\n".to_owned(), |text, (day, id, value)| format!("{text}{},{id},{value}\n", date(*day)))
}

fn batches(group: &ReadGroup) -> Vec<RecordBatch> {
    let mut batches = group.recent.clone();
    for segment in &group.segments {
        let bytes = segment.read(0..segment.bytes).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    batches
}

/// The events that count, by a reader that knows nothing but what groups promise.
pub(crate) fn events(snapshot: &Snapshot) -> Events {
    let mut events = Events::new();
    for group in snapshot.partitions(&name("events")).unwrap().iter().flat_map(|partition| partition.groups()) {
        let mut newest: BTreeMap<(i32, i64), Newest> = BTreeMap::new();
        for batch in batches(&group) {
            for row in 0..batch.num_rows() {
                let long = |at: usize| batch.column(at).as_primitive::<UInt64Type>().value(row);
                let origins = batch.column(5).as_dictionary::<Int32Type>();
                let origin = origins.values().as_string::<i32>().value(origins.key(row).unwrap()).to_owned();
                let epoch = batch.column(6).as_primitive::<UInt32Type>().value(row);
                let version = (long(3), origin, epoch, long(4));
                let op = batch.column(7).as_primitive::<UInt8Type>().value(row);
                let key = (
                    batch.column(0).as_primitive::<Date32Type>().value(row),
                    batch.column(1).as_primitive::<Int64Type>().value(row),
                );
                let values = batch.column(2).as_primitive::<Int64Type>();
                let value = values.is_valid(row).then(|| values.value(row));
                assert!(group.merge || (op != OP_TOMBSTONE && !newest.contains_key(&key)), "{key:?} needs merging");
                if newest.get(&key).is_none_or(|(known, ..)| *known < version) {
                    newest.insert(key, (version, op, value));
                }
            }
        }
        for (key, (_, op, value)) in newest {
            if op != OP_TOMBSTONE {
                assert_eq!(events.insert(key, value.unwrap()), None, "{key:?} is in two groups");
            }
        }
    }
    events
}

pub(crate) fn notes(snapshot: &Snapshot) -> Vec<i64> {
    let partitions = snapshot.partitions(&name("notes")).unwrap();
    let groups = partitions.iter().flat_map(|partition| partition.groups());
    let batches = groups.flat_map(|group| batches(&group));
    batches.flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}
