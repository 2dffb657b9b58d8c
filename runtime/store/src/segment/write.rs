//! Writing a segment: Parquet, digested and summed while it goes to the disk.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, UInt8Array, UInt64Array};
use arrow::compute::{max, min};
use domicile_types::DatasetName;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::{Place, Segment, SegmentEntry};
use crate::StoreError;
use crate::blocks::Summing;
use crate::bounds::Bounds;
use crate::catalog::Entry;
use crate::disk::{self, Disk, DiskFile};
use crate::hash::Hashing;
use crate::partition::PartitionKey;
use crate::version::{EPOCH_COLUMN, HLC_COLUMN, OP_COLUMN, OP_TOMBSTONE, ORIGIN_COLUMN, SEQ_COLUMN};

/// Rows of one row group.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Bytes gathered before they go to the disk.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Share of lookups that a Bloom filter lets through wrongly.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// What a segment to write will be.
#[derive(Debug, Clone)]
pub(crate) struct WriterParts<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    /// Directory of the segments.
    pub(crate) dir: &'a Path,
    pub(crate) entry: &'a Entry,
    pub(crate) partition: &'a PartitionKey,
    pub(crate) id: u64,
    pub(crate) run: u64,
}

/// A segment that is being written. Dropping it unfinished removes the file.
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    temporary: PathBuf,
    writer: Option<ArrowWriter<Sink>>,
    dataset: DatasetName,
    partition: PartitionKey,
    id: u64,
    run: u64,
    rows: u64,
    tombstones: u64,
    shape: u32,
    key: Option<String>,
    bounds: Option<Bounds>,
    oldest: u64,
    newest: u64,
}

impl Writer {
    /// Starts a segment. The file's name says nothing about what is in it but the dataset.
    pub(crate) fn create(parts: &WriterParts<'_>) -> Result<Self, StoreError> {
        let dataset = parts.entry.spec.dataset.name.clone();
        let temporary = disk::temporary(&parts.dir.join(format!("{dataset}-{:010}", parts.id)));
        let file = parts.disk.create(&temporary).map_err(StoreError::io("create", &temporary))?;
        let sink = Sink { file, offset: 0, buffer: Vec::new(), hasher: Hashing::default(), sums: Summing::default() };
        let schema = Arc::clone(&parts.entry.stored);
        let writer = ArrowWriter::try_new(sink, schema, Some(properties(parts.entry)));
        let failed = |source| StoreError::Write { path: temporary.clone(), source };
        Ok(Self {
            writer: Some(writer.map_err(failed)?),
            disk: Arc::clone(parts.disk),
            dir: parts.dir.to_owned(),
            temporary,
            dataset,
            partition: parts.partition.clone(),
            id: parts.id,
            run: parts.run,
            rows: 0,
            tombstones: 0,
            shape: parts.entry.shape,
            key: parts.entry.primary_key().first().cloned(),
            bounds: None,
            oldest: u64::MAX,
            newest: 0,
        })
    }

    /// Adds rows, which follow those before in the order of the key.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(batch).map_err(|source| StoreError::Write { path: self.temporary.clone(), source })?;
        self.rows += batch.num_rows() as u64;
        self.tombstones += tombstones(batch);
        if let Some((oldest, newest)) = moments(batch) {
            self.oldest = self.oldest.min(oldest);
            self.newest = self.newest.max(newest);
        }
        if let Some(key) = &self.key {
            self.bounds = Bounds::join(self.bounds.take(), Bounds::of_sorted(batch, key));
        }
        Ok(())
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes written or waiting to be.
    pub(crate) fn bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| (writer.bytes_written() + writer.in_progress_size()) as u64)
    }

    /// Makes the segment durable. Its name is once its directory is synced.
    pub(crate) fn finish(mut self) -> Result<Segment, StoreError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Write { path, source }
        };
        let Some(writer) = self.writer.take() else {
            return Err(StoreError::Poisoned { path: self.temporary.clone() });
        };
        let mut sink = writer.into_inner().map_err(failed(&self.temporary))?;
        sink.flush().and_then(|()| sink.file.sync()).map_err(StoreError::io("write", &self.temporary))?;
        let digest = sink.hasher.finish();
        let file = SegmentEntry::file_name(self.dataset.as_str(), self.id, &digest);
        let path = self.dir.join(&file);
        self.disk.rename(&self.temporary, &path).map_err(StoreError::io("rename to", &path))?;
        let entry = SegmentEntry {
            id: self.id,
            dataset: self.dataset.to_string(),
            partition: std::mem::take(&mut self.partition),
            file,
            rows: self.rows,
            bytes: sink.offset,
            run: self.run,
            tombstones: self.tombstones,
            oldest: self.oldest,
            newest: self.newest,
            shape: self.shape,
            bounds: self.bounds.take(),
            sha256: digest,
            crc32c: std::mem::take(&mut sink.sums).finish(),
            cold: false,
        };
        self.temporary = PathBuf::new();
        Ok(Segment::new(entry, Place::Disk { disk: Arc::clone(&self.disk), path }))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.temporary != Path::new("") {
            disk::discard(self.disk.as_ref(), &self.temporary);
        }
    }
}

/// The marks of deleted rows in a batch of the stored schema.
pub(crate) fn tombstones(batch: &RecordBatch) -> u64 {
    let ops = batch.column_by_name(OP_COLUMN).and_then(|column| column.as_any().downcast_ref::<UInt8Array>());
    ops.map_or(0, |ops| ops.values().iter().filter(|op| **op == OP_TOMBSTONE).count() as u64)
}

/// The least and the greatest moment of a batch of the stored schema; none where it has no rows.
pub(crate) fn moments(batch: &RecordBatch) -> Option<(u64, u64)> {
    let moments = batch.column_by_name(HLC_COLUMN)?.as_any().downcast_ref::<UInt64Array>()?;
    min(moments).zip(max(moments))
}

fn properties(entry: &Entry) -> WriterProperties {
    let key = entry.primary_key();
    let position = |name: &String| entry.stored.index_of(name).ok().and_then(|index| i32::try_from(index).ok());
    let sorting: Vec<_> = key
        .iter()
        .filter_map(position)
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect();
    let path = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns((!sorting.is_empty()).then_some(sorting))
        .set_created_by("domicile".to_owned());
    for name in [HLC_COLUMN, SEQ_COLUMN] {
        builder = builder
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in [HLC_COLUMN, SEQ_COLUMN, ORIGIN_COLUMN, EPOCH_COLUMN, OP_COLUMN] {
        builder = builder.set_column_statistics_enabled(path(name), EnabledStatistics::Chunk);
    }
    key.iter().fold(builder, |builder, name| bloom(builder, path(name))).build()
}

fn bloom(builder: WriterPropertiesBuilder, column: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_bloom_filter_enabled(column.clone(), true)
        .set_column_bloom_filter_fpp(column.clone(), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(column, ROW_GROUP_ROWS as u64)
}

/// A file that is written from its start to its end.
struct Sink {
    file: Arc<dyn DiskFile>,
    /// Bytes given to the disk.
    offset: u64,
    buffer: Vec<u8>,
    hasher: Hashing,
    sums: Summing,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.sums.update(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
