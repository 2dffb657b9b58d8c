//! Preparing a batch: everything that can be done before its place among the others is known.
//!
//! Decoding, checking, sorting and encoding take time and no order, so any number of threads do them at once; the
//! writer only adds versions and appends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::datatypes::SchemaRef;
use domicile_types::{Change, DatasetName, Digest, Hlc, KeyValue, RegionId, SetName, limits};

use crate::chunk::{self, Checked, Gathered, Target};
use crate::digesting;
use crate::disk::{Disk, Lease};
use crate::input::{Columns, Input};
use crate::manifest::{Rule, Value};
use crate::partition::PartitionKey;
use crate::refusals::Refusals;
use crate::segment::{Writer, WriterParts};
use crate::version::{Flight, Sequencer};
use crate::wal::record::logged_schema;
use crate::wal::{Body, Description, Idempotency};
use crate::{Entry, Format, Segment, Sizes, Source, StoreError, StoreReader};

/// What a batch does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// They are stored; a stored row with the same primary key is replaced.
    Upsert,
    /// Stored rows with these primary keys are deleted; the rows have the key columns only.
    Delete,
}

/// A batch of rows to come: it is stored as a whole or not at all.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The dataset.
    pub dataset: DatasetName,
    /// What to do with the rows.
    pub operation: Operation,
    /// How they are written.
    pub format: Format,
    /// What makes the batch known when it comes again: then it does nothing. At most
    /// [`limits::IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub idempotency_key: Option<String>,
}

/// A batch that went through every check and is ready to be committed. Dropping it undoes what was written for it.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) about: About,
    pub(crate) content: Content,
    /// What was written for it is removed with it.
    pub(crate) _lease: Lease,
}

/// What a batch is judged by, and remembered by.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) dataset: DatasetName,
    /// Rows that came.
    pub(crate) rows: u64,
    pub(crate) values: BTreeSet<Value>,
    pub(crate) idempotency: Option<Idempotency>,
    /// The version that the batch was checked against, where the outcome depends on stored rows of the same dataset.
    pub(crate) checked_at: Option<u64>,
    /// How its entry changes the members of its set.
    pub(crate) change: Option<Change>,
}

impl Prepared {
    /// The batch, or why nothing of it can be stored: for who does not ask whether it came before.
    ///
    /// # Errors
    /// Where the batch came with an idempotency key and cannot be stored.
    pub fn into_storable(self) -> Result<Self, StoreError> {
        match self.content {
            Content::Refused(error) => Err(error),
            _ => Ok(self),
        }
    }

    /// The partitions that its rows lie in; some more than once.
    pub(crate) fn partitions(&self) -> Box<dyn Iterator<Item = &PartitionKey> + '_> {
        match &self.content {
            Content::Logged { rows, .. } | Content::Unnoted { rows, .. } | Content::Carried { rows, .. } => {
                Box::new(rows.parts.iter().map(|(key, _)| key))
            }
            Content::Written(written) => Box::new(written.segments().iter().map(|segment| &segment.entry.partition)),
            Content::Refused(_) => Box::new(std::iter::empty()),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Content {
    /// For the write-ahead log.
    Logged { body: Body, rows: Checked },
    /// For the write-ahead log, once the rows say what they change.
    Unnoted { description: Description, rows: Checked },
    /// An entry that was written elsewhere, for the write-ahead log too.
    Carried {
        entry: Entry,
        /// The rows that count.
        rows: Checked,
        /// What the log is to have of them where they are not the entry's.
        instead: Option<Body>,
        /// Whether the rows count as they are only as long as no entry counts that was written without knowing of them.
        blind: bool,
    },
    /// Already in durable segments.
    Written(Uncommitted),
    /// Nothing of it can be stored. It came with a key, so it may be one that was stored before.
    Refused(StoreError),
}

/// Durable segments that no manifest names. Dropping them removes their files.
#[derive(Debug, Default)]
pub(crate) struct Uncommitted {
    segments: Vec<Arc<Segment>>,
    /// Moment of their rows, where those may be committed after newer ones.
    _flight: Option<Flight>,
}

impl Uncommitted {
    /// For rows of the moment in flight, which is given too.
    fn begin(flight: Flight) -> (Hlc, Self) {
        (flight.hlc, Self { segments: Vec::new(), _flight: Some(flight) })
    }

    pub(crate) fn push(&mut self, segment: Segment) {
        self.push_shared(Arc::new(segment));
    }

    pub(crate) fn push_shared(&mut self, segment: Arc<Segment>) {
        self.segments.push(segment);
    }

    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Keeps the files: from here on a manifest may name them.
    pub(crate) fn keep(mut self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.segments)
    }
}

impl Drop for Uncommitted {
    fn drop(&mut self) {
        self.segments.iter().for_each(|segment| segment.retire());
    }
}

/// Prepares batches, on any thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Preparer {
    pub(crate) reader: StoreReader,
    pub(crate) region: RegionId,
    pub(crate) disk: Arc<dyn Disk>,
    /// Directory of the segments.
    pub(crate) segments_dir: PathBuf,
    pub(crate) sequencer: Arc<Sequencer>,
    pub(crate) sizes: Sizes,
    /// The replication sets that datasets are in.
    pub(crate) sets: Arc<BTreeMap<DatasetName, SetName>>,
    /// Large batches that are being prepared; they share the memory for that.
    pub(crate) large: Arc<AtomicUsize>,
    pub(crate) lease: Lease,
}

impl Preparer {
    /// Reads a batch to its end and checks every row. Memory stays bounded however large the batch is: past
    /// [`Sizes::batch_bytes_max`] it is written to segments piece by piece, which count once they are committed.
    ///
    /// Batches of a dataset whose rows may move between partitions have to be prepared and committed one after the
    /// other; otherwise the commit refuses as [`StoreError::Stale`].
    ///
    /// # Errors
    /// Where the rows cannot be read as they are said to be, their columns are not the dataset's, a row is refused, or
    /// the disk fails. Nothing is left of the batch then. A batch with an idempotency key is refused by the commit: only
    /// that knows whether the batch came before.
    pub fn prepare(&self, batch: Batch, source: Source, now_ms: u64) -> Result<Prepared, StoreError> {
        let catalog = Arc::clone(&self.reader.catalog);
        let entry = catalog.entry(&batch.dataset)?;
        if batch.operation == Operation::Delete && entry.primary_key().is_empty() {
            return Err(StoreError::NoKey { dataset: batch.dataset });
        }
        let (source, digest) = digesting::digested(source, &batch)?;
        let snapshot = self.reader.snapshot();
        let logged = logged_schema(&entry.stored);
        let target = Target {
            region: &self.region,
            catalog: &catalog,
            entry,
            snapshot: &snapshot,
            operation: batch.operation,
            now_ms,
            logged: &logged,
        };
        let mut work = Work::new(self, target);
        let read = match self.reader.health().refusal() {
            Some(reason) => Err(reason),
            None => work.read(source, batch.format, now_ms),
        };
        let finished = digest.map(|digest| digest.finish()).transpose();
        let (idempotency, refused) = match (read, finished, batch.idempotency_key) {
            (Ok(()), Ok(sha256), key) => (key.zip(sha256).map(identity), None),
            // What cannot be stored now may have been stored before.
            (Err(error), Ok(Some(sha256)), Some(key)) => (Some(identity((key, sha256))), Some(error)),
            (Err(error), ..) | (Ok(()), Err(error), _) => return Err(error),
        };
        let checked_at = (refused.is_none() && entry.spec.dataset.rows_may_move()).then_some(snapshot.version);
        let about = About {
            dataset: batch.dataset,
            rows: work.rows,
            values: BTreeSet::new(),
            idempotency,
            checked_at,
            change: None,
        };
        match refused {
            Some(error) => Ok(Prepared { about, content: Content::Refused(error), _lease: self.lease.clone() }),
            None => work.into_prepared(about),
        }
    }
}

/// A place among the large batches that are being prepared.
struct Share(Arc<AtomicUsize>);

impl Share {
    fn take(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }

    /// The part that this one has of so many bytes.
    fn of(&self, bytes: usize) -> usize {
        bytes / self.0.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A batch on its way.
struct Work<'a> {
    preparer: &'a Preparer,
    target: Target<'a>,
    gathered: Gathered,
    refusals: Refusals,
    held: BTreeSet<KeyValue>,
    /// Moment and segments of a batch that is too large for the log.
    large: Option<(Hlc, Uncommitted)>,
    /// Its share of the memory for large batches.
    share: Option<Share>,
    small: Option<Checked>,
    rows: u64,
    /// Bytes in memory of all rows so far, one after the other.
    decoded: u64,
}

impl<'a> Work<'a> {
    fn new(preparer: &'a Preparer, target: Target<'a>) -> Self {
        Self {
            preparer,
            target,
            gathered: Gathered::default(),
            refusals: Refusals::default(),
            held: BTreeSet::new(),
            large: None,
            share: None,
            small: None,
            rows: 0,
            decoded: 0,
        }
    }

    fn read(&mut self, source: Source, format: Format, now_ms: u64) -> Result<(), StoreError> {
        let columns = match self.target.operation {
            Operation::Upsert => Columns::All,
            Operation::Delete => Columns::Key,
        };
        let sizes = &self.preparer.sizes;
        let mut input = Input::open(source, format, self.target.entry, columns)?;
        while let Some(batch) = input.next(self.gathered.rows(), &mut self.refusals)? {
            let before = self.gathered.bytes();
            self.gathered.push(batch);
            self.decoded += (self.gathered.bytes() - before) as u64;
            if self.decoded > limits::LOAD_DECODED_BYTES_MAX {
                let (actual, max) = (self.decoded, limits::LOAD_DECODED_BYTES_MAX);
                return Err(StoreError::TooLarge { unit: "bytes once decoded", actual, max });
            }
            if self.preparer.sets.contains_key(&self.target.entry.spec.dataset.name) {
                self.require_room()?;
                continue;
            }
            let rows = self.refusals.rows_before() + self.gathered.rows() as u64;
            if rows > limits::LOAD_ROWS_MAX {
                return Err(StoreError::TooLarge { unit: "rows", actual: rows, max: limits::LOAD_ROWS_MAX });
            }
            let (bytes, is_long) = (self.gathered.bytes(), self.gathered.rows() >= sizes.chunk_rows_max);
            if self.large.is_none() && (bytes > sizes.batch_bytes_max || bytes >= sizes.chunk_bytes_max || is_long) {
                self.large = Some(Uncommitted::begin(self.preparer.sequencer.take_off(now_ms)));
                self.share = Some(Share::take(&self.preparer.large));
            }
            let share = self.share.as_ref().map(|share| share.of(sizes.chunk_bytes_max).max(sizes.batch_bytes_max));
            if is_long || share.is_some_and(|share| bytes >= share) {
                self.seal()?;
            }
        }
        self.seal()?;
        std::mem::take(&mut self.refusals).into_result()
    }

    /// Rows of a replicated dataset travel in one entry of a log.
    fn require_room(&self) -> Result<(), StoreError> {
        let (actual, max) = (self.gathered.bytes() as u64, limits::ENTRY_DECODED_BYTES_MAX as u64);
        if actual > max {
            return Err(StoreError::TooLarge { unit: "bytes once decoded, for a replicated dataset", actual, max });
        }
        Ok(())
    }

    /// Checks what was gathered and, where the batch is large and no row was refused, writes it.
    fn seal(&mut self) -> Result<(), StoreError> {
        let Some(rows) = self.gathered.take()? else { return Ok(()) };
        let count = rows.num_rows();
        let written = self.large.as_ref().map_or(&[][..], |(_, written)| written.segments());
        let checked = chunk::check(&self.target, &rows, written, &mut self.held, &mut self.refusals)?;
        drop(rows);
        if let Some(checked) = checked {
            match self.large.take() {
                None => self.small = Some(checked),
                Some((hlc, mut written)) => {
                    self.write(&checked, hlc, &mut written)?;
                    self.large = Some((hlc, written));
                }
            }
        }
        self.refusals.advance(count);
        self.rows += count as u64;
        Ok(())
    }

    fn write(&self, checked: &Checked, hlc: Hlc, written: &mut Uncommitted) -> Result<(), StoreError> {
        let Preparer { disk, segments_dir: dir, sequencer, .. } = self.preparer;
        let entry = self.target.entry;
        let stamp = sequencer.stamp(hlc, checked.rows.num_rows());
        let rows = Checked { rows: stamp.apply(&checked.rows, &entry.stored)?, parts: checked.parts.clone() };
        for (partition, rows) in rows.split() {
            let id = sequencer.segment_id();
            let mut writer = Writer::create(&WriterParts { disk, dir, entry, partition, id, run: id }, &rows)?;
            writer.write(&rows)?;
            written.push(writer.finish()?);
        }
        Ok(())
    }

    fn into_prepared(self, mut about: About) -> Result<Prepared, StoreError> {
        about.values = self.held.iter().map(Value::of).collect();
        let content = match (self.large, self.small) {
            (Some((_, written)), _) => {
                let dir = &self.preparer.segments_dir;
                self.preparer.disk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
                Content::Written(written)
            }
            (None, small) => {
                let rows_of = small.map_or_else(|| empty(self.target.logged), Ok)?;
                let description = Description {
                    dataset: about.dataset.to_string(),
                    rows: about.rows,
                    idempotency: about.idempotency.clone(),
                    rule: Rule::of(self.target.entry, about.values.iter().cloned()),
                };
                // Deletions have nothing to say.
                let says = self.target.entry.noting.is_some() && self.target.operation == Operation::Upsert;
                match says {
                    true => Content::Unnoted { description, rows: rows_of },
                    false => Content::Logged { body: Body::encode(&description, &rows_of.rows)?, rows: rows_of },
                }
            }
        };
        Ok(Prepared { about, content, _lease: self.preparer.lease.clone() })
    }
}

fn empty(logged: &SchemaRef) -> Result<Checked, StoreError> {
    Ok(Checked { rows: arrow::array::RecordBatch::new_empty(Arc::clone(logged)), parts: Vec::new() })
}

fn identity((key, sha256): (String, Digest)) -> Idempotency {
    Idempotency { key, sha256 }
}
