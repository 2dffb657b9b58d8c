//! Loads of more rows than are sorted at a time.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use domicile_store::{DatasetSpec, FileFormat, LoadReport, Store, StoreError};
use domicile_types::{ColumnType, Residency, limits};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use crate::fixture::{dataset, name, region};

const ROWS: i64 = limits::LOAD_CHUNK_ROWS_MAX as i64 + 50_000;

fn open(root: &Path) -> Store {
    let spec = DatasetSpec {
        dataset: dataset("numbers", &[("number", ColumnType::BigInt, false)], &["number"]),
        residency: Residency::Reference,
    };
    Store::open(&root.join("store"), region("eu-central"), vec![spec]).unwrap()
}

fn load(store: &mut Store, root: &Path, numbers: impl Iterator<Item = i64>) -> Result<LoadReport, StoreError> {
    let file = root.join("upload");
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    let batch = RecordBatch::try_from_iter([("number", column)]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    store.load(&name("numbers"), &file, FileFormat::Parquet)
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
    let segments = snapshot.segments(&name("numbers"));
    assert_eq!(segments.len(), 2);
    let mut all = Vec::new();
    for segment in segments {
        let file = ParquetRecordBatchReaderBuilder::try_new(File::open(&segment.path).unwrap()).unwrap();
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
fn a_key_is_found_again_in_another_chunk_or_load() {
    let root = TempDir::new().unwrap();
    let mut store = open(root.path());
    let first = shuffled().next().unwrap();
    let error = load(&mut store, root.path(), shuffled().chain([first])).unwrap_err();
    let StoreError::RowsRefused { refused: 1, first: listed } = error else { panic!("{error}") };
    assert_eq!((listed[0].row, listed[0].value.as_deref()), (ROWS as u64 + 1, Some("0")));
    assert_eq!(store.reader().snapshot().version, 0);

    load(&mut store, root.path(), shuffled()).unwrap();
    let error = load(&mut store, root.path(), [ROWS, ROWS - 1, -1, 0].into_iter()).unwrap_err();
    let StoreError::RowsRefused { refused: 2, first: listed } = error else { panic!("{error}") };
    assert_eq!(listed.iter().map(|row| row.row).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(load(&mut store, root.path(), [ROWS, -1].into_iter()).unwrap().rows, 2);
}
