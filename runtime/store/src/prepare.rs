//! Preparing a batch: everything that can be done before its place among the others is known.
//!
//! Decoding, checking, sorting and encoding take time and no order, so any number of threads do them at once; the
//! writer only adds versions and appends.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use domicile_types::{DatasetName, Hlc, KeyValue, RegionId, limits};

use crate::chunk::{self, Checked, Gathered, Target};
use crate::disk::Disk;
use crate::hash::Hashing;
use crate::input::{Columns, Input};
use crate::manifest::{Rule, Value};
use crate::refusals::Refusals;
use crate::segment::{Writer, WriterParts};
use crate::version::{Flight, Sequencer};
use crate::wal::record::logged_schema;
use crate::wal::{Body, Description, Idempotency};
use crate::{Format, Segment, Sizes, Source, StoreError, StoreReader};

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
    pub(crate) dataset: DatasetName,
    /// Rows that came.
    pub(crate) rows: u64,
    pub(crate) values: BTreeSet<Value>,
    pub(crate) idempotency: Option<Idempotency>,
    /// The version that the batch was checked against, where the outcome depends on stored rows of the same dataset.
    pub(crate) checked_at: Option<u64>,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// For the write-ahead log.
    Logged { body: Body, rows: Checked },
    /// Already in durable segments.
    Written(Uncommitted),
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
    /// the disk fails. Nothing is left of the batch then.
    pub fn prepare(&self, batch: Batch, source: Source, now_ms: u64) -> Result<Prepared, StoreError> {
        let catalog = Arc::clone(&self.reader.catalog);
        let entry = catalog.entry(&batch.dataset)?;
        if batch.operation == Operation::Delete && entry.primary_key().is_empty() {
            return Err(StoreError::NoKey { dataset: batch.dataset });
        }
        if let Some(reason) = self.reader.health().refusal() {
            return Err(reason);
        }
        let (source, digest) = digested(source, &batch)?;
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
        work.read(source, batch.format, now_ms)?;
        let idempotency =
            batch.idempotency_key.zip(digest).map(|(key, digest)| Idempotency { key, sha256: digest.finish() });
        let checked_at = entry.spec.dataset.rows_may_move().then_some(snapshot.version);
        work.into_prepared(&batch.dataset, idempotency, checked_at)
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
    small: Option<Checked>,
    rows: u64,
}

impl<'a> Work<'a> {
    fn new(preparer: &'a Preparer, target: Target<'a>) -> Self {
        let (gathered, refusals) = (Gathered::default(), Refusals::default());
        Self { preparer, target, gathered, refusals, held: BTreeSet::new(), large: None, small: None, rows: 0 }
    }

    fn read(&mut self, source: Source, format: Format, now_ms: u64) -> Result<(), StoreError> {
        let columns = match self.target.operation {
            Operation::Upsert => Columns::All,
            Operation::Delete => Columns::Key,
        };
        let sizes = &self.preparer.sizes;
        let mut input = Input::open(source, format, self.target.entry, columns)?;
        while let Some(batch) = input.next(self.gathered.rows(), &mut self.refusals)? {
            self.gathered.push(batch);
            let rows = self.refusals.rows_before() + self.gathered.rows() as u64;
            if rows > limits::LOAD_ROWS_MAX {
                return Err(StoreError::TooLarge { unit: "rows", actual: rows, max: limits::LOAD_ROWS_MAX });
            }
            if self.gathered.bytes() > sizes.batch_bytes_max && self.large.is_none() {
                self.large = Some(Uncommitted::begin(self.preparer.sequencer.take_off(now_ms)));
            }
            if self.gathered.bytes() >= sizes.chunk_bytes_max || self.gathered.rows() >= sizes.chunk_rows_max {
                self.large.get_or_insert_with(|| Uncommitted::begin(self.preparer.sequencer.take_off(now_ms)));
                self.seal()?;
            }
        }
        self.seal()?;
        std::mem::take(&mut self.refusals).into_result()
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
            let mut writer = Writer::create(&WriterParts { disk, dir, entry, partition, id, run: id })?;
            writer.write(&rows)?;
            written.push(writer.finish()?);
        }
        Ok(())
    }

    fn into_prepared(
        self,
        dataset: &DatasetName,
        idempotency: Option<Idempotency>,
        checked_at: Option<u64>,
    ) -> Result<Prepared, StoreError> {
        let rows = self.rows;
        let values: BTreeSet<Value> = self.held.iter().map(Value::of).collect();
        let content = match (self.large, self.small) {
            (Some((_, written)), _) => {
                let dir = &self.preparer.segments_dir;
                self.preparer.disk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
                Content::Written(written)
            }
            (None, small) => {
                let rows_of = small.map_or_else(|| empty(self.target.logged), Ok)?;
                let description = Description {
                    dataset: dataset.to_string(),
                    rows,
                    idempotency: idempotency.clone(),
                    rule: Rule::of(self.target.entry, values.iter().cloned()),
                };
                Content::Logged { body: Body::encode(&description, &rows_of.rows)?, rows: rows_of }
            }
        };
        Ok(Prepared { dataset: dataset.clone(), rows, values, idempotency, checked_at, content })
    }
}

fn empty(logged: &SchemaRef) -> Result<Checked, StoreError> {
    Ok(Checked { rows: arrow::array::RecordBatch::new_empty(Arc::clone(logged)), parts: Vec::new() })
}

/// A digest that two hold: the reader that is given away, and who asks for the result.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Hashing>>);

impl Shared {
    fn update(&self, bytes: &[u8]) {
        // The digest is whole after every step, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
    }

    fn finish(&self) -> domicile_types::Digest {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().finish()
    }
}

struct Digesting {
    inner: Box<dyn Read + Send>,
    digest: Shared,
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

/// The source, and where the batch has a key the digest of what is to be done and of what the source gives.
fn digested(source: Source, batch: &Batch) -> Result<(Source, Option<Shared>), StoreError> {
    let Some(key) = &batch.idempotency_key else { return Ok((source, None)) };
    if key.len() > limits::IDEMPOTENCY_KEY_BYTES_MAX {
        let (actual, max) = (key.len() as u64, limits::IDEMPOTENCY_KEY_BYTES_MAX as u64);
        return Err(StoreError::TooLarge { unit: "bytes of idempotency key", actual, max });
    }
    let digest = Shared::default();
    digest.update(match batch.operation {
        Operation::Upsert => b"upsert\n",
        Operation::Delete => b"delete\n",
    });
    match source {
        Source::Stream(inner) => {
            let reader = Digesting { inner, digest: digest.clone() };
            Ok((Source::Stream(Box::new(reader)), Some(digest)))
        }
        Source::File(path) => {
            let file = std::fs::File::open(&path).map_err(StoreError::io("open", &path))?;
            let mut reader = Digesting { inner: Box::new(file), digest: digest.clone() };
            io::copy(&mut reader, &mut io::sink()).map_err(StoreError::io("read", &path))?;
            Ok((Source::File(path), Some(digest)))
        }
    }
}
