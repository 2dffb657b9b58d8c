//! Reading a segment within the store: footer, and columns as batches. Every byte goes through [`Segment::read`].

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use domicile_types::limits;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};

use super::Segment;
use crate::blocks::BLOCK_BYTES;
use crate::catalog::Entry;
use crate::{SegmentProblem, StoreError};

/// Rows that are read at a time, however narrow they are.
const READ_ROWS: usize = 8192;

/// Bytes fetched at a time where the Parquet reader does not say how many it needs.
const READ_AHEAD_BYTES: u64 = 64 * 1024;

/// Blocks of a segment that are held while it is read: about those of one row group.
const BLOCKS_HELD: usize = 8;

/// How many rows of `segments` to read at a time, so that they take about
/// [`SEGMENT_READ_BYTES_MAX`](limits::SEGMENT_READ_BYTES_MAX) whichever of all the rows they are: the widest come first.
pub fn rows_at_a_time(segments: &[Arc<Segment>]) -> usize {
    let mut widths: Vec<(u64, u64)> =
        segments.iter().map(|segment| (segment.entry.row_bytes.max(1), segment.rows)).collect();
    widths.sort_unstable_by_key(|(row_bytes, _)| std::cmp::Reverse(*row_bytes));
    let (mut rows, mut left) = (0, limits::SEGMENT_READ_BYTES_MAX as u64);
    for (row_bytes, held) in widths {
        let room = left / row_bytes;
        if room < held {
            return usize::try_from(rows + room).unwrap_or(READ_ROWS).clamp(1, READ_ROWS);
        }
        rows += held;
        left -= held * row_bytes;
    }
    READ_ROWS
}

pub(super) fn metadata(segment: &Segment) -> Result<Arc<ParquetMetaData>, StoreError> {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = reader.parse_and_finish(&SegmentBytes(segment)).map_err(|error| damaged(segment, &error))?;
    if u64::try_from(metadata.file_metadata().num_rows()) != Ok(segment.rows) {
        return Err(segment.refused(SegmentProblem::Damaged));
    }
    Ok(Arc::new(metadata))
}

/// Batches of a segment.
pub(crate) struct SegmentReader<'a> {
    segment: Arc<Segment>,
    entry: &'a Entry,
    /// What is read, as it is described now.
    schema: SchemaRef,
    reader: ParquetRecordBatchReader,
    failure: Failure,
}

impl<'a> SegmentReader<'a> {
    /// Reads the named columns of a dataset, or all, in the order in which they are stored. Where the segment is from
    /// before a column was added, its rows have no value there.
    pub(crate) fn open<N: AsRef<str>>(
        segment: &Arc<Segment>,
        entry: &'a Entry,
        columns: Option<&[N]>,
    ) -> Result<Self, StoreError> {
        let is_wanted =
            |name: &String| columns.is_none_or(|columns| columns.iter().any(|wanted| wanted.as_ref() == name));
        let failure = Failure::default();
        let metadata = ArrowReaderMetadata::try_new(segment.metadata()?, ArrowReaderOptions::new())
            .map_err(|error| failed(segment, &failure, error))?;
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(OwnedBytes::new(segment, &failure), metadata)
                .with_batch_size(rows_at_a_time(std::slice::from_ref(segment)));
        if columns.is_some() {
            let fields = builder.schema().fields();
            let wanted: Vec<usize> = (0..fields.len()).filter(|index| is_wanted(fields[*index].name())).collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
            builder = builder.with_projection(mask);
        }
        let reader = builder.build().map_err(|error| failed(segment, &failure, error))?;
        let fields = entry.stored.fields().iter().filter(|field| is_wanted(field.name()));
        let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
        Ok(Self { segment: Arc::clone(segment), entry, schema, reader, failure })
    }

    /// Rows of the segment as they are described now.
    fn described(&self, rows: RecordBatch) -> Result<RecordBatch, StoreError> {
        if rows.num_columns() == self.schema.fields().len() {
            return Ok(RecordBatch::try_new(Arc::clone(&self.schema), rows.columns().to_vec())?);
        }
        let dataset = || self.entry.spec.dataset.name.clone();
        self.entry.widened(rows, &self.schema).ok_or_else(|| StoreError::Redescribed { dataset: dataset() })
    }
}

impl Iterator for SegmentReader<'_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        let batch =
            batch.map_err(|error| failed(&self.segment, &self.failure, ParquetError::External(Box::new(error))));
        Some(batch.and_then(|rows| self.described(rows)))
    }
}

/// What the store's own reading met below the Parquet reader, which gives on only the text of it.
type Failure = Arc<Mutex<Option<StoreError>>>;

fn note(failure: &Failure, error: StoreError) -> String {
    let text = error.to_string();
    // One value is put in place of another, so a poisoned lock is still good.
    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    text
}

/// What went wrong in a reader. Bytes that are not what was written are found before they are decoded, so what the
/// decoder itself refuses is no damage.
fn failed(segment: &Segment, failure: &Failure, source: ParquetError) -> StoreError {
    let met = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    met.unwrap_or_else(|| StoreError::Undecodable { path: segment.location(), source })
}

/// What went wrong below the Parquet reader where it was the store's own reading; otherwise the footer is damaged. A
/// disk that fails for once is no damage.
fn damaged(segment: &Segment, error: &ParquetError) -> StoreError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        match inner.downcast_ref::<StoreError>() {
            Some(StoreError::Segment { problem, .. }) => return segment.refused(problem.clone()),
            Some(StoreError::Io { action, path, source }) => {
                let copy = source.raw_os_error().map_or_else(|| source.kind().into(), io::Error::from_raw_os_error);
                return StoreError::Io { action, path: path.clone(), source: copy };
            }
            _ => {}
        }
        source = inner.source();
    }
    tracing::warn!(segment = %segment.location().display(), %error, "a segment cannot be read");
    segment.refused(SegmentProblem::Damaged)
}

struct SegmentBytes<'a>(&'a Segment);

/// A segment, and the blocks of it that were read last: pages are smaller than blocks, and columns take turns.
struct OwnedBytes {
    segment: Arc<Segment>,
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
    failure: Failure,
}

impl OwnedBytes {
    fn new(segment: &Arc<Segment>, failure: &Failure) -> Self {
        Self { segment: Arc::clone(segment), blocks: Mutex::default(), failure: Arc::clone(failure) }
    }

    fn read(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let read = self.segment.read(start..start.saturating_add(length as u64));
        read.map_err(|error| ParquetError::General(note(&self.failure, error)))
    }

    /// The block that starts at that offset.
    fn block(&self, start: u64) -> ParquetResult<Bytes> {
        // What is in the list is whole at every step, so a poisoned lock is still good.
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = blocks.iter().find(|(known, _)| *known == start) {
            return Ok(block.clone());
        }
        let length = (self.segment.bytes - start).min(BLOCK_BYTES as u64) as usize;
        let block = self.read(start, length)?;
        if blocks.len() >= BLOCKS_HELD {
            blocks.pop_front();
        }
        blocks.push_back((start, block.clone()));
        Ok(block)
    }
}

/// A run of bytes fetched piece by piece.
pub(crate) struct Pieces {
    segment: Arc<Segment>,
    left: Range<u64>,
    piece: Bytes,
    failure: Failure,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && !self.left.is_empty() {
            let end = self.left.end.min(self.left.start + READ_AHEAD_BYTES);
            let piece = self.segment.read(self.left.start..end);
            self.piece = piece.map_err(|error| io::Error::other(note(&self.failure, error)))?;
            self.left.start = end;
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

fn bytes(segment: &Segment, start: u64, length: usize) -> ParquetResult<Bytes> {
    segment.read(start..start.saturating_add(length as u64)).map_err(|error| ParquetError::External(Box::new(error)))
}

impl Length for SegmentBytes<'_> {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for SegmentBytes<'_> {
    type T = io::Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let length = usize::try_from(self.0.bytes.saturating_sub(start)).unwrap_or(usize::MAX);
        Ok(io::Cursor::new(bytes(self.0, start, length)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        bytes(self.0, start, length)
    }
}

impl Length for OwnedBytes {
    fn len(&self) -> u64 {
        self.segment.bytes
    }
}

impl ChunkReader for OwnedBytes {
    type T = Pieces;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let (segment, failure) = (Arc::clone(&self.segment), Arc::clone(&self.failure));
        Ok(Pieces { left: start..segment.bytes, segment, piece: Bytes::new(), failure })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let within = start % BLOCK_BYTES as u64;
        let last = start.saturating_add(length as u64);
        if last > self.segment.bytes || within + length as u64 > BLOCK_BYTES as u64 {
            // Over the end of a block, or of the segment, which is refused.
            return self.read(start, length);
        }
        Ok(self.block(start - within)?.slice(within as usize..within as usize + length))
    }
}
