//! Committing batches: one group, one append, one sync, then visible.

use std::sync::Arc;

use crate::chunk::Checked;
use crate::manifest::Remembered;
use crate::prepare::{Content, Uncommitted};
use crate::version::Stamp;
use crate::wal::record::Place;
use crate::wal::{AppendError, Body, FileHeader, LogFile};
use crate::{Prepared, Snapshot, Store, StoreError};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Rows that came with it.
    pub rows: u64,
    /// Bytes written for it.
    pub bytes: u64,
    /// Version of the store from which on its rows count.
    pub version: u64,
    /// Whether an earlier batch with the same idempotency key did all this, and this one nothing.
    pub already_loaded: bool,
}

type Answer = Result<Ack, StoreError>;

/// Batches that go into the log together.
#[derive(Default)]
struct Group {
    members: Vec<Member>,
}

struct Member {
    /// Place among the batches that were given.
    index: usize,
    batch: Prepared,
    body: Body,
    rows: Checked,
}

impl Store {
    /// Commits batches, in order: each is durable and visible as a whole, or not at all. Gives an answer for each.
    ///
    /// Those that go through the write-ahead log share one sync. The rows of an acknowledged batch survive whatever
    /// happens to the process or the machine.
    pub fn commit(&mut self, batches: Vec<Prepared>, now_ms: u64) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = batches.iter().map(|_| None).collect();
        let mut group = Group::default();
        for (index, batch) in batches.into_iter().enumerate() {
            // What a batch is judged by has to be in force: others that could matter to it go first.
            if group.members.iter().any(|member| member.batch.dataset == batch.dataset && batch.depends()) {
                self.write_group(std::mem::take(&mut group), now_ms, &mut answers);
            }
            match self.admit(&batch) {
                Ok(None) => {}
                Ok(Some(ack)) => {
                    answers[index] = Some(Ok(ack));
                    continue;
                }
                Err(error) => {
                    answers[index] = Some(Err(error));
                    continue;
                }
            }
            match batch.content {
                Content::Logged { .. } => group.push(index, batch),
                Content::Written(_) => {
                    self.write_group(std::mem::take(&mut group), now_ms, &mut answers);
                    answers[index] = Some(self.commit_written(batch));
                }
            }
        }
        self.write_group(group, now_ms, &mut answers);
        let gone = || Err(StoreError::Poisoned { path: self.log.path().to_owned() });
        answers.into_iter().map(|answer| answer.unwrap_or_else(gone)).collect()
    }

    /// The answer to a batch that is known already; none where it is to be committed.
    fn admit(&self, batch: &Prepared) -> Result<Option<Ack>, StoreError> {
        if let Some(ack) = self.known.answer(&batch.dataset, batch.idempotency.as_ref())? {
            return Ok(Some(ack));
        }
        if let Some(refusal) = self.health().refusal() {
            return Err(refusal);
        }
        // Nothing becomes of waiting for a flush that fails.
        if self.is_full()
            && let Some(source) = self.health().hindered.clone()
        {
            return Err(StoreError::Hindered { source });
        }
        let changed = self.changed_at.get(&batch.dataset).copied().unwrap_or(0);
        match batch.checked_at {
            Some(at) if at < changed => Err(StoreError::Stale { dataset: batch.dataset.clone() }),
            _ => Ok(None),
        }
    }

    fn write_group(&mut self, group: Group, now_ms: u64, answers: &mut [Option<Answer>]) {
        if group.members.is_empty() {
            return;
        }
        let indices: Vec<usize> = group.members.iter().map(|member| member.index).collect();
        match self.log_group(group, now_ms) {
            Ok(acks) => indices.iter().zip(acks).for_each(|(index, ack)| answers[*index] = Some(Ok(ack))),
            Err(error) => {
                let error = Arc::new(error);
                for index in indices {
                    answers[index] = Some(Err(StoreError::Group { source: Arc::clone(&error) }));
                }
            }
        }
        if self.active.bytes >= self.parts.sizes.recent_bytes_max.cast_signed()
            || self.log.offset >= self.parts.sizes.log_file_bytes
        {
            self.freeze();
        }
    }

    fn log_group(&mut self, group: Group, now_ms: u64) -> Result<Vec<Ack>, StoreError> {
        let mut snapshot = Snapshot::clone(&self.reader.snapshot());
        let before = snapshot.version;
        let mut bytes = Vec::with_capacity(group.members.iter().map(|member| member.body.len()).sum());
        let mut last = self.log.last();
        let mut grown = 0;
        for member in &group.members {
            let stamp = self.sequencer.stamp(self.sequencer.tick(now_ms), member.rows.rows.num_rows());
            snapshot.version += 1;
            let place = Place {
                version: snapshot.version,
                hlc: stamp.hlc,
                first_seq: stamp.first_seq,
                epoch: stamp.epoch,
                before: last,
                group: self.log.offset,
            };
            last = member.body.dataset();
            member.body.write(&place, self.log.seed(), &mut bytes);
            grown += self.add_recent(&mut snapshot, &member.batch.dataset, &member.rows, &stamp)?;
        }
        match self.log.append(&bytes, last, self.parts.syncs_first()) {
            Ok(()) => {}
            Err(AppendError::Unwritten(source)) => {
                return Err(self.hindered(StoreError::io("write", self.log.path())(source)));
            }
            Err(AppendError::Unknown(source)) => {
                return Err(self.refuse_writes(StoreError::io("sync", self.log.path())(source)));
            }
        }
        self.publish(snapshot);
        self.change_health(|health| health.hindered = None);
        self.active.bytes += grown;
        Ok((before + 1..).zip(&group.members).map(|(version, member)| self.note(version, member)).collect())
    }

    /// What is left to note of a batch whose rows are durable and visible.
    fn note(&mut self, version: u64, member: &Member) -> Ack {
        let batch = &member.batch;
        let ack = Ack { rows: batch.rows, bytes: member.body.len() as u64, version, already_loaded: false };
        self.active.values.entry(batch.dataset.clone()).or_default().extend(batch.values.iter().cloned());
        let remembered = self.noted(batch, &ack);
        self.active.remember.extend(remembered);
        ack
    }

    /// Notes a committed batch in memory, and gives what the manifest is to remember of it.
    fn noted(&mut self, batch: &Prepared, ack: &Ack) -> Option<Remembered> {
        if batch.checked_at.is_some() {
            self.changed_at.insert(batch.dataset.clone(), ack.version);
        }
        let remembered = remembered(batch, ack)?;
        self.known.insert(remembered.clone());
        Some(remembered)
    }

    /// Adds the rows of a batch to a snapshot that nobody sees yet. Gives by how many bytes the recent rows grow.
    pub(crate) fn add_recent(
        &self,
        snapshot: &mut Snapshot,
        dataset: &domicile_types::DatasetName,
        rows: &Checked,
        stamp: &Stamp,
    ) -> Result<isize, StoreError> {
        let entry = self.reader.catalog.entry(dataset)?;
        add_recent(snapshot, entry, rows, stamp)
    }

    fn commit_written(&mut self, batch: Prepared) -> Answer {
        let Prepared { content: Content::Written(written), .. } = &batch else {
            return Err(StoreError::Poisoned { path: self.log.path().to_owned() });
        };
        let mut snapshot = Snapshot::clone(&self.reader.snapshot());
        snapshot.version += 1;
        let bytes = written.segments().iter().map(|segment| segment.bytes).sum();
        let ack = Ack { rows: batch.rows, bytes, version: snapshot.version, already_loaded: false };
        let mut edit = self.edit();
        edit.version = snapshot.version;
        edit.add = written.segments().iter().map(|segment| segment.entry.clone()).collect();
        edit.rules = self.rules([(&batch.dataset, &batch.values)])?;
        edit.remember = remembered(&batch, &ack).into_iter().collect();
        if let Err(error) = self.append(edit) {
            if self.manifest.is_poisoned() {
                // The manifest on the disk may name the segments: only an open can tell.
                let Prepared { content: Content::Written(written), .. } = batch else { return Err(error) };
                written.keep();
            }
            return Err(error);
        }
        self.noted(&batch, &ack);
        let Prepared { content: Content::Written(written), dataset, .. } = batch else { return Ok(ack) };
        self.add_segments(&mut snapshot, &dataset, written)?;
        self.publish(snapshot);
        Ok(ack)
    }

    fn add_segments(
        &self,
        snapshot: &mut Snapshot,
        dataset: &domicile_types::DatasetName,
        written: Uncommitted,
    ) -> Result<(), StoreError> {
        let first_key = self.reader.catalog.entry(dataset)?.primary_key().first().cloned();
        for segment in written.keep() {
            let key = segment.entry.partition.clone();
            snapshot.change(dataset, &key, first_key.as_ref(), |partition| {
                partition.segments.push(segment);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Nothing was written, but the next attempt may succeed.
    pub(crate) fn hindered(&self, error: StoreError) -> StoreError {
        tracing::warn!(%error, "a write was not done");
        let source = Arc::new(error);
        self.change_health(|health| health.hindered = Some(Arc::clone(&source)));
        StoreError::Hindered { source }
    }

    /// Tries, after a write that was not done, whether one would be now: nobody sends rows to a store that says that it
    /// takes none.
    pub(crate) fn probe(&mut self) {
        if self.health().hindered.is_some() && !self.is_full() && self.log.probe().is_ok() {
            self.change_health(|health| health.hindered = None);
        }
    }

    /// Lets the log go on in a new file, so that the rows in the old one can become segments. Where that fails, the
    /// old file is written on, and the next commit tries again.
    pub(crate) fn freeze(&mut self) {
        if self.frozen.is_some() || self.active.bytes == 0 || self.health().refusal().is_some() {
            return;
        }
        if let Err(error) = self.log.clean() {
            tracing::warn!(%error, "a failed append cannot be cleared away yet");
            return;
        }
        let header = FileHeader {
            number: self.log.number + 1,
            before_end: self.log.offset,
            epoch: self.sequencer.epoch,
            region: self.parts.region.clone(),
        };
        let (disk, dir) = (self.parts.disk.as_ref(), self.parts.wal_dir());
        let next = match LogFile::create(disk, &dir, &header, self.parts.sizes.log_file_bytes) {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log cannot go on in a new file");
                return;
            }
        };
        let mut active = std::mem::take(&mut self.active);
        active.log = self.log.number;
        self.log = next;
        self.frozen = Some(active);
        let mut snapshot = Snapshot::clone(&self.reader.snapshot());
        for partitions in snapshot.datasets.values_mut() {
            for partition in Arc::make_mut(partitions).values_mut().filter(|partition| !partition.recent.is_empty()) {
                let partition = Arc::make_mut(partition);
                partition.frozen = partition.recent.len();
            }
        }
        self.publish(snapshot);
    }
}

/// Adds the rows of a batch to a snapshot.
pub(crate) fn add_recent(
    snapshot: &mut Snapshot,
    entry: &crate::catalog::Entry,
    rows: &Checked,
    stamp: &Stamp,
) -> Result<isize, StoreError> {
    let stamped = Checked { rows: stamp.apply(&rows.rows, &entry.stored)?, parts: rows.parts.clone() };
    let key = entry.primary_key();
    let mut grown = 0;
    for (partition, rows) in stamped.split() {
        snapshot.change(&entry.spec.dataset.name, partition, key.first(), |partition| {
            grown += partition.push(rows, &entry.stored, key)?;
            Ok(())
        })?;
    }
    Ok(grown)
}

fn remembered(batch: &Prepared, ack: &Ack) -> Option<Remembered> {
    let idempotency = batch.idempotency.clone()?;
    let (dataset, rows, bytes, version) = (batch.dataset.to_string(), ack.rows, ack.bytes, ack.version);
    Some(Remembered { dataset, idempotency, rows, bytes, version })
}

impl Prepared {
    /// Whether what becomes of the batch may depend on another one of its dataset.
    fn depends(&self) -> bool {
        self.checked_at.is_some() || self.idempotency.is_some()
    }
}

impl Group {
    fn push(&mut self, index: usize, batch: Prepared) {
        let Prepared { dataset, rows: count, values, idempotency, checked_at, content } = batch;
        if let Content::Logged { body, rows } = content {
            let content = Content::Written(Uncommitted::default());
            let batch = Prepared { dataset, rows: count, values, idempotency, checked_at, content };
            self.members.push(Member { index, batch, body, rows });
        }
    }
}
