//! Rows of any width go into segments and come out again, in bounded memory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::Int64Type;
use domicile_types::{Column, ColumnType, Dataset, Residency, limits};
use tempfile::TempDir;

use super::{Place, Segment, SegmentEntry, SegmentReader, Writer, WriterParts, rows_at_a_time};
use crate::blocks::Summing;
use crate::catalog::Catalog;
use crate::disk::Disk;
use crate::partition::PartitionKey;
use crate::{DatasetSpec, LocalDisk, StoreError, hash, recent};

const MIB: usize = 1024 * 1024;

fn catalog() -> Catalog {
    let column = |name: &str, kind| Column { name: name.to_owned(), kind, nullable: false };
    let columns = vec![column("id", ColumnType::BigInt), column("text", ColumnType::Text)];
    let dataset = Dataset::new("texts".parse().unwrap(), columns, vec!["id".to_owned()]).unwrap();
    Catalog::new(vec![DatasetSpec { dataset, residency: Residency::Reference }], &BTreeMap::new()).unwrap()
}

/// Rows with texts of so many bytes each.
fn rows(catalog: &Catalog, widths: impl IntoIterator<Item = usize>) -> RecordBatch {
    let texts: Vec<String> = widths.into_iter().map(|width| "a".repeat(width)).collect();
    let count = texts.len();
    let origins: DictionaryArray<arrow::datatypes::Int32Type> = vec!["eu-central"; count].into_iter().collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..count as i64)),
        Arc::new(StringArray::from(texts)),
        Arc::new(UInt64Array::from(vec![1; count])),
        Arc::new(UInt64Array::from_iter_values(0..count as u64)),
        Arc::new(origins),
        Arc::new(UInt32Array::from(vec![0; count])),
        Arc::new(UInt8Array::from(vec![0; count])),
    ];
    let stored = &catalog.entry(&"texts".parse().unwrap()).unwrap().stored;
    RecordBatch::try_new(Arc::clone(stored), columns).unwrap()
}

fn write(dir: &Path, catalog: &Catalog, batches: &[RecordBatch]) -> Arc<Segment> {
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
    let entry = catalog.entry(&"texts".parse().unwrap()).unwrap();
    let partition = &PartitionKey::default();
    let parts = WriterParts { disk: &disk, dir, entry, partition, id: 1, run: 1 };
    let mut writer = Writer::create(&parts, &batches[0]).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    Arc::new(writer.finish().unwrap())
}

fn read(segment: &Arc<Segment>) -> Result<Vec<RecordBatch>, StoreError> {
    let catalog = catalog();
    SegmentReader::open::<&str>(segment, catalog.entry(&"texts".parse().unwrap())?, None)?.collect()
}

#[test]
fn wide_rows_are_written_and_read_a_few_at_a_time() {
    let (dir, catalog) = (TempDir::new().unwrap(), catalog());
    // As one batch that is larger than a row group, and as batches that fill one together.
    let wide = rows(&catalog, vec![MIB; 80]);
    let slices: Vec<RecordBatch> = (0..8).map(|part| wide.slice(part * 10, 10)).collect();
    for batches in [vec![wide.clone()], slices] {
        let segment = write(dir.path(), &catalog, &batches);
        for group in segment.metadata().unwrap().row_groups() {
            let text = group.column(1).unencoded_byte_array_data_bytes().unwrap();
            assert!(text > 0 && text <= limits::ROW_GROUP_BYTES_MAX as i64, "{text} bytes in one row group");
        }
        let batches = read(&segment).unwrap();
        for batch in &batches {
            let bytes = recent::bytes(batch);
            assert!(bytes < limits::SEGMENT_READ_BYTES_MAX + MIB, "{bytes} bytes at a time");
        }
        let ids: Vec<i64> =
            batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!(ids, (0..80).collect::<Vec<_>>());
    }
}

#[test]
fn a_row_that_is_wider_than_a_row_group_has_one_for_itself() {
    let (dir, catalog) = (TempDir::new().unwrap(), catalog());
    let segment = write(dir.path(), &catalog, &[rows(&catalog, [1, 2, limits::ROW_GROUP_BYTES_MAX + 1, 4, 5])]);
    let metadata = segment.metadata().unwrap();
    assert!(metadata.row_groups().iter().any(|group| group.num_rows() == 1));
    assert_eq!(rows_at_a_time(&[Arc::clone(&segment)]), 1);
    let widths: Vec<i32> =
        read(&segment).unwrap().iter().map(|batch| batch.column(1).as_string::<i32>().value_length(0)).collect();
    assert_eq!(widths, [1, 2, limits::ROW_GROUP_BYTES_MAX as i32 + 1, 4, 5]);
}

#[test]
fn narrow_rows_share_row_groups_of_the_full_number() {
    let (dir, catalog) = (TempDir::new().unwrap(), catalog());
    let segment = write(dir.path(), &catalog, &[rows(&catalog, vec![1; 100_000]), rows(&catalog, vec![1; 100_000])]);
    let groups: Vec<i64> = segment.metadata().unwrap().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [128 * 1024, 200_000 - 128 * 1024]);
    assert_eq!(rows_at_a_time(&[Arc::clone(&segment)]), 8192);
    assert_eq!(read(&segment).unwrap().len(), 200_000_usize.div_ceil(8192));
}

#[test]
fn a_few_wide_rows_do_not_slow_down_the_reading_of_many_narrow_ones() {
    let (dir, catalog) = (TempDir::new().unwrap(), catalog());
    let one_wide = write(dir.path(), &catalog, &[rows(&catalog, [MIB])]);
    let many_wide = write(dir.path(), &catalog, &[rows(&catalog, vec![MIB; 10])]);
    let narrow = write(dir.path(), &catalog, &[rows(&catalog, vec![1; 100_000])]);
    let rows = |segments: &[&Arc<Segment>]| rows_at_a_time(&segments.iter().copied().cloned().collect::<Vec<_>>());
    assert_eq!(rows(&[&many_wide]), 3);
    assert_eq!(rows(&[&narrow, &many_wide]), 3);
    assert_eq!(rows(&[&narrow]), 8192);
    assert_eq!(rows(&[&narrow, &one_wide]), 8192);
}

/// Damage is what the disk did. A partition that has it is left alone for good.
#[test]
fn what_cannot_be_decoded_though_its_bytes_are_right_is_no_damage() {
    let (dir, catalog) = (TempDir::new().unwrap(), catalog());
    let segment = write(dir.path(), &catalog, &[rows(&catalog, vec![1; 100])]);
    let mut bytes = std::fs::read(segment.location()).unwrap();
    bytes[4..40].fill(0xff);
    let path = dir.path().join("other");
    std::fs::write(&path, &bytes).unwrap();
    let mut sums = Summing::default();
    sums.update(&bytes);
    let (sha256, crc32c) = (hash::of_bytes(&bytes), sums.finish());
    let place = || Place::Disk { disk: Arc::new(LocalDisk), path: path.clone() };
    let error = read(&Arc::new(Segment::new(SegmentEntry { sha256, crc32c, ..segment.entry.clone() }, place())));
    let error = error.unwrap_err();
    assert!(matches!(error, StoreError::Undecodable { .. }), "{error}");
    assert!(error.segment_problem().is_none());
    let error = read(&Arc::new(Segment::new(segment.entry.clone(), place()))).unwrap_err();
    assert!(error.segment_problem().is_some(), "{error}");
}
