//! Writing a segment: Parquet, digested and summed while it goes to the disk.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, RecordBatch, UInt8Array, UInt64Array};
use arrow::compute::{max, min};
use domicile_types::{DatasetName, limits};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use super::{Place, Segment, SegmentEntry, encoding};
use crate::blocks::Summing;
use crate::bounds::Bounds;
use crate::catalog::Entry;
use crate::disk::{self, Disk, DiskFile};
use crate::hash::Hashing;
use crate::partition::PartitionKey;
use crate::version::{HLC_COLUMN, OP_COLUMN, OP_TOMBSTONE};
use crate::{StoreError, recent};

/// Bytes gathered before they go to the disk.
const BUFFER_BYTES: usize = 1024 * 1024;

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
    failure: Failure,
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
    /// Rows of the open row group, and their bytes in memory.
    group: (usize, usize),
    row_bytes: u64,
}

impl Writer {
    /// Starts a segment, encoded as suits its first rows. The file's name says nothing about what is in it but the
    /// dataset.
    pub(crate) fn create(parts: &WriterParts<'_>, first: &RecordBatch) -> Result<Self, StoreError> {
        let properties = encoding::properties(parts.entry, first)?;
        let dataset = parts.entry.spec.dataset.name.clone();
        let temporary = disk::temporary(&parts.dir.join(format!("{dataset}-{:010}", parts.id)));
        let file = parts.disk.create(&temporary).map_err(StoreError::io("create", &temporary))?;
        let failure = Failure::default();
        let (hasher, sums) = (Hashing::default(), Summing::default());
        let sink = Sink { file, offset: 0, buffer: Vec::new(), hasher, sums, failure: Arc::clone(&failure) };
        let schema = Arc::clone(&parts.entry.stored);
        let writer = ArrowWriter::try_new(sink, schema, Some(properties));
        Ok(Self {
            writer: Some(writer.map_err(|source| failed(&failure, &temporary, source))?),
            failure,
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
            group: (0, 0),
            row_bytes: 0,
        })
    }

    /// Adds rows, which follow those before in the order of the key.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let rows = self.room(&rest);
            if rows == 0 {
                self.end_group()?;
                continue;
            }
            let part = rest.slice(0, rows);
            rest = rest.slice(rows, rest.num_rows() - rows);
            self.group = (self.group.0 + rows, self.group.1 + recent::bytes(&part));
            let Some(writer) = &mut self.writer else { return Ok(()) };
            writer.write(&part).map_err(|source| failed(&self.failure, &self.temporary, source))?;
        }
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

    /// How many of the first rows the open row group has room for. A group is in memory until it is written, and again
    /// where it is read; an empty one takes any row.
    fn room(&self, rows: &RecordBatch) -> usize {
        let (held, held_bytes) = self.group;
        let mut room = rows.num_rows().min(encoding::ROW_GROUP_ROWS - held);
        let fits = |room| held_bytes + recent::bytes(&rows.slice(0, room)) <= limits::ROW_GROUP_BYTES_MAX;
        while held == 0 && room > 1 && !fits(room) {
            room = room.div_ceil(2);
        }
        if held == 0 || fits(room) { room } else { 0 }
    }

    fn end_group(&mut self) -> Result<(), StoreError> {
        let (rows, bytes) = std::mem::take(&mut self.group);
        self.row_bytes = self.row_bytes.max(bytes.div_ceil(rows.max(1)) as u64);
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.flush().map_err(|source| failed(&self.failure, &self.temporary, source))
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
        self.end_group()?;
        let Some(writer) = self.writer.take() else {
            return Err(StoreError::Poisoned { path: self.temporary.clone() });
        };
        let closed = writer.into_inner().map_err(|source| failed(&self.failure, &self.temporary, source));
        let mut sink = closed?;
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
            row_bytes: self.row_bytes,
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

/// A file that is written from its start to its end.
struct Sink {
    file: Arc<dyn DiskFile>,
    /// Bytes given to the disk.
    offset: u64,
    buffer: Vec<u8>,
    hasher: Hashing,
    sums: Summing,
    failure: Failure,
}

/// Why the disk took nothing more, as it said itself: what comes through the encoder has lost its cause.
type Failure = Arc<OnceLock<io::Error>>;

fn failed(failure: &Failure, path: &Path, source: ParquetError) -> StoreError {
    match failure.get() {
        Some(error) => StoreError::io("write", path)(disk::same_error(error)),
        None => StoreError::Write { path: path.to_owned(), source },
    }
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
        if let Err(error) = self.file.write_at(self.offset, &self.buffer) {
            self.failure.get_or_init(|| disk::same_error(&error));
            return Err(error);
        }
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
