//! Loads of more rows than are sorted at a time.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use domicile_store::{
    Ack, DatasetSpec, Format, Operation, Prepared, Preparer, Sizes, Source, Store, StoreError, StoreParts,
};
use domicile_types::{ColumnType, Residency, limits};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use crate::fixture::{NOW_MS, batch, dataset, load_file, name, region, rows};

const ROWS: i64 = limits::LOAD_CHUNK_ROWS_MAX as i64 + 50_000;

fn open(root: &Path) -> Store {
    let spec = DatasetSpec {
        dataset: dataset("numbers", &[("number", ColumnType::BigInt, false)], &["number"]),
        residency: Residency::Reference,
    };
    let parts = StoreParts::local(root.join("store"), region("eu-central"), vec![spec]);
    // The rows of one chunk are no reason to take the log.
    let sizes = Sizes { batch_bytes_max: 1024, ..Sizes::default() };
    Store::open(StoreParts { sizes, ..parts }).unwrap()
}

fn load(store: &mut Store, root: &Path, numbers: impl Iterator<Item = i64>) -> Result<Ack, StoreError> {
    let file = root.join("upload");
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    let batch = RecordBatch::try_from_iter([("number", column)]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    load_file(store, "numbers", &file, Format::Parquet)
}

/// A permutation of 0 to `ROWS`: every chunk has keys from the whole range.
fn shuffled() -> impl Iterator<Item = i64> {
    (0..ROWS).map(|at| at * 1_000_003 % ROWS)
}

#[test]
fn each_chunk_is_a_sorted_segment_of_small_row_groups() {
    let root = TempDir::new().unwrap();
    let mut store = open(root.path());
    let report = load(&mut store, root.path(), shuffled()).unwrap();
    assert_eq!((report.rows, report.version), (ROWS as u64, 1));
    let snapshot = store.reader().snapshot();
    let partitions = snapshot.partitions(&name("numbers")).unwrap();
    let segments = &partitions[0].segments;
    assert_eq!((partitions.len(), segments.len()), (1, 2));
    let mut all = Vec::new();
    for segment in segments {
        let file = ParquetRecordBatchReaderBuilder::try_new(segment.read(0..segment.bytes).unwrap()).unwrap();
        for group in file.metadata().row_groups() {
            assert!(group.num_rows() <= 128 * 1024);
            assert!(group.column(0).statistics().is_some() && group.column(0).column_index_offset().is_some());
        }
        let start = all.len();
        for batch in file.build().unwrap() {
            let batch = batch.unwrap();
            all.extend_from_slice(batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values());
        }
        assert!(all[start..].is_sorted());
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..ROWS));
}

#[test]
fn a_key_that_comes_again_in_another_chunk_or_load_counts_once() {
    let root = TempDir::new().unwrap();
    let mut store = open(root.path());
    let first = shuffled().next().unwrap();
    assert_eq!(load(&mut store, root.path(), shuffled().chain([first])).unwrap().rows, ROWS as u64 + 1);
    assert_eq!(rows(&store.reader(), "numbers").len(), ROWS as usize);
    load(&mut store, root.path(), [ROWS, ROWS - 1, -1, 0].into_iter()).unwrap();
    assert_eq!(rows(&store.reader(), "numbers").len(), ROWS as usize + 2);
}

/// A body in the middle of which something else happens.
struct Interrupted<F> {
    body: Cursor<Vec<u8>>,
    middle: Option<F>,
}

impl<F: FnOnce()> Read for Interrupted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let half = self.body.get_ref().len() as u64 / 2;
        if self.body.position() > half
            && let Some(middle) = self.middle.take()
        {
            middle();
        }
        self.body.read(buffer)
    }
}

fn prepare(preparer: &Preparer, middle: impl FnOnce() + Send + 'static) -> Prepared {
    let body = (0..100_000).fold("number\n".to_owned(), |body, number| body + &format!("{number}\n"));
    let body = Interrupted { body: Cursor::new(body.into_bytes()), middle: Some(middle) };
    let numbers = batch("numbers", Operation::Upsert, Format::Csv);
    preparer.prepare(numbers, Source::Stream(Box::new(body)), NOW_MS).unwrap()
}

#[test]
fn loads_at_once_share_the_memory() {
    let root = TempDir::new().unwrap();
    let spec = DatasetSpec {
        dataset: dataset("numbers", &[("number", ColumnType::BigInt, false)], &["number"]),
        residency: Residency::Reference,
    };
    let parts = StoreParts::local(root.path().join("store"), region("eu-central"), vec![spec]);
    let sizes = Sizes { batch_bytes_max: 1024, chunk_bytes_max: 400_000, ..Sizes::default() };
    let store = Store::open(StoreParts { sizes, ..parts }).unwrap();
    let files = || std::fs::read_dir(root.path().join("store/segments")).unwrap().count();
    let alone = prepare(&store.preparer(), || {});
    let files_alone = files();
    drop(alone);
    assert_eq!(files(), 0, "what is not committed is gone");
    let (inner, within) = (store.preparer(), root.path().join("store/segments"));
    let counts = Arc::new(std::sync::Mutex::new((0, 0)));
    let told = Arc::clone(&counts);
    let outer = prepare(&store.preparer(), move || {
        let before = std::fs::read_dir(&within).unwrap().count();
        let prepared = prepare(&inner, || {});
        *told.lock().unwrap() = (before, std::fs::read_dir(&within).unwrap().count() - before);
        drop(prepared);
    });
    let (outer_before, beside) = *counts.lock().unwrap();
    assert!(outer_before > 0, "the outer load is large by then");
    assert!(beside >= files_alone * 2 - 1, "{files_alone} segments alone, {beside} beside another load");
    drop(outer);
}
