//! Rows that are much wider than usual.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use domicile_store::{DatasetSpec, Format, Operation, Segment, Sizes, Source, Store, StoreParts, rows_at_a_time};
use domicile_types::{ColumnType, Residency, limits};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use crate::fixture::{NOW_MS, batch, commit, dataset, name, region, rows};

const MIB: u64 = 1024 * 1024;

fn open(root: &Path, sizes: Sizes) -> Store {
    let columns = [("id", ColumnType::BigInt, false), ("text", ColumnType::Text, false)];
    let spec = DatasetSpec { dataset: dataset("texts", &columns, &["id"]), residency: Residency::Reference };
    let parts = StoreParts::local(root.join("store"), region("eu-central"), vec![spec]);
    Store::open(StoreParts { sizes, ..parts }).unwrap()
}

/// Loads texts of 64 KiB that hardly compress.
fn load(store: &mut Store, random: &mut u64, ids: impl Iterator<Item = u64>) {
    let mut rows = "id,text\n".to_owned();
    for id in ids {
        rows += &format!("{id},");
        for _ in 0..4096 {
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            rows += &format!("{random:016x}");
        }
        rows.push('\n');
    }
    let source = Source::Stream(Box::new(Cursor::new(rows)));
    commit(store, batch("texts", Operation::Upsert, Format::Csv), source).unwrap();
}

/// All work that is due by and by.
fn settle(store: &mut Store) {
    store.freeze_recent();
    while let Some(job) = store.next_job(NOW_MS) {
        store.finish(job.run(&|_| {})).unwrap();
    }
}

fn segments(store: &Store) -> Vec<Arc<Segment>> {
    let partitions = store.reader().snapshot().partitions(&name("texts")).unwrap();
    partitions.iter().flat_map(|partition| partition.segments.clone()).collect()
}

/// Row groups are in memory while they are written, and batches where they are read, here and in queries.
#[test]
fn memory_does_not_depend_on_how_wide_rows_are() {
    let root = TempDir::new().unwrap();
    let mut store = open(root.path(), Sizes { compaction_fan_in: 2, ..Sizes::default() });
    let mut random = 88_172_645_463_325_252_u64;
    for offset in 0..2 {
        load(&mut store, &mut random, (0..500).map(|row| row * 2 + offset));
    }
    assert_eq!(segments(&store).len(), 2);
    settle(&mut store);
    let segments = segments(&store);
    assert_eq!(segments.len(), 1);
    let file = ParquetRecordBatchReaderBuilder::try_new(segments[0].read(0..segments[0].bytes).unwrap()).unwrap();
    let groups: Vec<i64> = file
        .metadata()
        .row_groups()
        .iter()
        .map(|group| group.column(1).unencoded_byte_array_data_bytes().unwrap())
        .collect();
    assert_eq!(groups.iter().sum::<i64>() as u64, 1000 * MIB / 16);
    assert!(groups.iter().all(|bytes| *bytes <= limits::ROW_GROUP_BYTES_MAX as i64), "{groups:?}");
    let read = rows_at_a_time(&segments) * 64 * 1024;
    assert!(read <= limits::SEGMENT_READ_BYTES_MAX && read * 2 > limits::SEGMENT_READ_BYTES_MAX, "{read} bytes");
    assert_eq!(rows(&store.reader(), "texts").len(), 1000);
}

#[test]
fn segments_are_bounded_by_their_bytes_where_rows_are_few() {
    let root = TempDir::new().unwrap();
    let sizes = Sizes { compaction_fan_in: 2, segment_bytes_max: 2 * MIB, small_run_bytes: 1, ..Sizes::default() };
    let mut store = open(root.path(), sizes);
    let mut random = 88_172_645_463_325_252_u64;
    for offset in 0..2 {
        load(&mut store, &mut random, (0..150).map(|row| row * 2 + offset));
    }
    settle(&mut store);
    let merged = segments(&store);
    let sizes: Vec<u64> = merged.iter().map(|segment| segment.bytes).collect();
    assert!(sizes.len() > 2 && merged.iter().all(|segment| segment.run == merged[0].run), "{sizes:?}");
    let most = 2 * MIB + limits::SEGMENT_READ_BYTES_MAX as u64;
    assert!(sizes.iter().all(|bytes| *bytes <= most), "{sizes:?}");
    // What is large enough and shares no keys with it is not written again.
    load(&mut store, &mut random, 1000..1300);
    settle(&mut store);
    let kept = segments(&store);
    assert!(merged.iter().all(|segment| kept.iter().any(|kept| kept.id == segment.id)), "{kept:?}");
    assert_eq!(rows(&store.reader(), "texts").len(), 600);
}
