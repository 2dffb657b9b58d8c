//! Merging sorted runs into one: keys in order, the newest version of each, in bounded memory.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{AsArray, DictionaryArray, RecordBatch, StringArray, UInt8Array, UInt32Array, UInt64Array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int32Type, SchemaRef, UInt8Type, UInt32Type, UInt64Type};
use arrow::row::{RowConverter, Rows, SortField};
use domicile_types::{Hlc, limits};

use crate::catalog::Entry;
use crate::jobs::Pace;
use crate::rows::columns_of;
use crate::segment::SegmentReader;
use crate::version::{EPOCH_COLUMN, HLC_COLUMN, OP_COLUMN, OP_TOMBSTONE, ORIGIN_COLUMN, SEQ_COLUMN};
use crate::{Segment, StoreError, recent};

/// Rows of one batch that is given out.
const BATCH_ROWS: usize = 8192;

/// The rows of segments that share no keys, in order.
pub(crate) struct Run<'a> {
    entry: &'a Entry,
    segments: std::vec::IntoIter<Arc<Segment>>,
    reader: Option<Reading<'a>>,
}

struct Reading<'a> {
    reader: SegmentReader<'a>,
    /// Bytes of the segment for each of its rows, about.
    row_bytes: f64,
}

impl<'a> Run<'a> {
    pub(crate) fn new(entry: &'a Entry, segments: Vec<Arc<Segment>>) -> Self {
        Self { entry, segments: segments.into_iter(), reader: None }
    }

    /// The next rows; none at the end. `pace` is told how many bytes of segments they were.
    pub(crate) fn next(&mut self, pace: Pace<'_>) -> Result<Option<RecordBatch>, StoreError> {
        loop {
            let Some(reading) = &mut self.reader else {
                let Some(segment) = self.segments.next() else { return Ok(None) };
                let reader = SegmentReader::open::<&str>(&segment, self.entry, None)?;
                self.reader = Some(Reading { reader, row_bytes: segment.bytes as f64 / segment.rows.max(1) as f64 });
                continue;
            };
            match reading.reader.next() {
                None => self.reader = None,
                Some(batch) => {
                    let batch = batch?;
                    pace((batch.num_rows() as f64 * reading.row_bytes) as u64);
                    if batch.num_rows() > 0 {
                        return Ok(Some(batch));
                    }
                }
            }
        }
    }
}

/// The version columns of a batch.
struct Versions {
    hlc: UInt64Array,
    origin: DictionaryArray<Int32Type>,
    origins: StringArray,
    epoch: UInt32Array,
    seq: UInt64Array,
    op: UInt8Array,
}

impl Versions {
    fn of(batch: &RecordBatch) -> Result<Self, StoreError> {
        let columns = columns_of(batch, &[HLC_COLUMN, ORIGIN_COLUMN, EPOCH_COLUMN, SEQ_COLUMN, OP_COLUMN])?;
        let origin = columns[1].as_dictionary::<Int32Type>().clone();
        Ok(Self {
            hlc: columns[0].as_primitive::<UInt64Type>().clone(),
            origins: origin.values().as_string::<i32>().clone(),
            origin,
            epoch: columns[2].as_primitive::<UInt32Type>().clone(),
            seq: columns[3].as_primitive::<UInt64Type>().clone(),
            op: columns[4].as_primitive::<UInt8Type>().clone(),
        })
    }

    fn origin(&self, row: usize) -> &str {
        self.origin.key(row).map_or("", |key| self.origins.value(key))
    }

    fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        (self.hlc.value(row).cmp(&other.hlc.value(other_row)))
            .then_with(|| self.origin(row).cmp(other.origin(other_row)))
            .then_with(|| self.epoch.value(row).cmp(&other.epoch.value(other_row)))
            .then_with(|| self.seq.value(row).cmp(&other.seq.value(other_row)))
    }
}

/// Where the reading of a run is.
struct Cursor<'a> {
    run: Run<'a>,
    keys: Rows,
    versions: Versions,
    row: usize,
    /// Its batch among those that are held.
    batch: usize,
    row_bytes: usize,
}

/// Sorted runs on their way into one. Of each run one batch is held, and those that rows to give out lie in.
pub(crate) struct Merge<'a> {
    key: &'a [String],
    converter: RowConverter,
    /// Tombstones before this moment are left out: nothing older with their keys is anywhere.
    forget_before: Hlc,
    cursors: Vec<Cursor<'a>>,
    /// Cursors as a heap: the least key first, of equal keys the newest version.
    heap: Vec<usize>,
    batches: Vec<RecordBatch>,
    /// Batch and row of what is to be given out next.
    pending: Vec<(usize, usize)>,
    pending_bytes: usize,
    /// The key that was met last.
    last: Option<Vec<u8>>,
}

impl<'a> Merge<'a> {
    /// Starts to merge runs that are sorted by `key`.
    pub(crate) fn new(
        runs: Vec<Run<'a>>,
        stored: &SchemaRef,
        key: &'a [String],
        forget_before: Hlc,
        pace: Pace<'_>,
    ) -> Result<Self, StoreError> {
        let field = |name: &String| Ok(SortField::new(stored.field_with_name(name)?.data_type().clone()));
        let fields = key.iter().map(field).collect::<Result<_, StoreError>>()?;
        let mut merge = Self {
            key,
            converter: RowConverter::new(fields)?,
            forget_before,
            cursors: Vec::with_capacity(runs.len()),
            heap: Vec::new(),
            batches: Vec::new(),
            pending: Vec::new(),
            pending_bytes: 0,
            last: None,
        };
        for mut run in runs {
            let Some(batch) = run.next(pace)? else { continue };
            let (keys, versions) = (merge.keys(&batch)?, Versions::of(&batch)?);
            let (row_bytes, at) = (recent::bytes(&batch) / batch.num_rows(), merge.batches.len());
            merge.batches.push(batch);
            merge.cursors.push(Cursor { run, keys, versions, row: 0, batch: at, row_bytes });
        }
        merge.heap = (0..merge.cursors.len()).collect();
        (0..merge.heap.len() / 2).rev().for_each(|at| merge.sift(at));
        Ok(merge)
    }

    /// The next merged rows; none at the end.
    pub(crate) fn next(&mut self, pace: Pace<'_>) -> Result<Option<RecordBatch>, StoreError> {
        while let Some(top) = self.heap.first().copied() {
            self.take(top);
            self.advance(top, pace)?;
            let held = self.batches.len() > 2 * self.cursors.len() + 2;
            let full = self.pending.len() >= BATCH_ROWS || self.pending_bytes >= limits::SEGMENT_READ_BYTES_MAX;
            if (full || held)
                && let Some(batch) = self.give()?
            {
                return Ok(Some(batch));
            }
        }
        self.give()
    }

    /// Notes the row at the top, where it is the newest version of its key and counts.
    fn take(&mut self, top: usize) {
        let cursor = &self.cursors[top];
        let key = cursor.keys.row(cursor.row);
        if self.last.as_deref() == Some(key.as_ref()) {
            return;
        }
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key.as_ref());
        let is_tombstone = cursor.versions.op.value(cursor.row) == OP_TOMBSTONE;
        if is_tombstone && Hlc(cursor.versions.hlc.value(cursor.row)) < self.forget_before {
            return;
        }
        self.pending.push((cursor.batch, cursor.row));
        self.pending_bytes += cursor.row_bytes;
    }

    fn advance(&mut self, top: usize, pace: Pace<'_>) -> Result<(), StoreError> {
        self.cursors[top].row += 1;
        if self.cursors[top].row == self.cursors[top].keys.num_rows() {
            match self.cursors[top].run.next(pace)? {
                Some(batch) => {
                    let keys = self.keys(&batch)?;
                    let cursor = &mut self.cursors[top];
                    cursor.versions = Versions::of(&batch)?;
                    cursor.row_bytes = recent::bytes(&batch) / batch.num_rows();
                    (cursor.keys, cursor.row, cursor.batch) = (keys, 0, self.batches.len());
                    self.batches.push(batch);
                }
                None => drop(self.heap.swap_remove(0)),
            }
        }
        self.sift(0);
        Ok(())
    }

    fn keys(&self, batch: &RecordBatch) -> Result<Rows, StoreError> {
        Ok(self.converter.convert_columns(&columns_of(batch, self.key)?)?)
    }

    /// Moves what is at a place of the heap down to where it belongs.
    fn sift(&mut self, mut at: usize) {
        loop {
            let children = 2 * at + 1..(2 * at + 3).min(self.heap.len());
            let Some(least) = children.min_by(|a, b| self.compare(*a, *b)) else { return };
            if self.compare(at, least).is_le() {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let (a, b) = (&self.cursors[self.heap[a]], &self.cursors[self.heap[b]]);
        let keys = a.keys.row(a.row).cmp(&b.keys.row(b.row));
        keys.then_with(|| b.versions.compare(b.row, &a.versions, a.row))
    }

    /// The noted rows, and only the batches that are still being read.
    fn give(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let given = match self.pending.as_slice() {
            [] => None,
            rows => Some(interleave_record_batch(&batches, rows)?),
        };
        let mut batches = Vec::with_capacity(self.heap.len());
        for index in &self.heap {
            let cursor = &mut self.cursors[*index];
            batches.push(self.batches[cursor.batch].clone());
            cursor.batch = batches.len() - 1;
        }
        self.batches = batches;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(given)
    }
}
