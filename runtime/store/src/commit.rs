//! Committing batches: one group, one append, one sync, then visible.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_types::{DatasetName, Mark};

use crate::disk;
use crate::draft::{Draft, Member};
use crate::manifest::Remembered;
use crate::prepare::{About, Content, Uncommitted};
use crate::wal::{AppendError, FileHeader, LogFile, Use};
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
            if group.has(&batch.about.dataset) && self.depends(&batch) {
                self.write_group(std::mem::take(&mut group), now_ms, &mut answers);
            }
            if let Some(answer) = self.admit(&batch, &group).transpose() {
                answers[index] = Some(answer);
                continue;
            }
            let Prepared { about, content, _lease } = batch;
            match content {
                Content::Refused(error) if error.is_storage_full() => answers[index] = Some(Err(self.hindered(error))),
                Content::Refused(error) => answers[index] = Some(Err(error)),
                Content::Logged { body, rows } => {
                    let records = vec![(body, Use::Rows)];
                    group.members.push(Member { index, about, records, unnoted: None, rows, mark: None });
                }
                Content::Unnoted { description, rows } => {
                    let (records, unnoted) = (Vec::new(), Some(description));
                    group.members.push(Member { index, about, records, unnoted, rows, mark: None });
                }
                Content::Carried { entry, rows, instead, .. } => {
                    let used = if instead.is_some() { Use::Carried } else { Use::Rows };
                    let records = [(entry.body, used)].into_iter().chain(instead.map(|body| (body, Use::Instead)));
                    let (records, mark) = (records.collect(), Some(entry.mark));
                    group.members.push(Member { index, about, records, unnoted: None, rows, mark });
                }
                Content::Written(written) => {
                    self.write_group(std::mem::take(&mut group), now_ms, &mut answers);
                    answers[index] = Some(self.commit_written(&about, written));
                }
            }
        }
        self.write_group(group, now_ms, &mut answers);
        let gone = || Err(StoreError::Poisoned { path: self.log.path().to_owned() });
        answers.into_iter().map(|answer| answer.unwrap_or_else(gone)).collect()
    }

    /// Whether what becomes of the batch may depend on another one of its dataset.
    fn depends(&self, batch: &Prepared) -> bool {
        batch.about.checked_at.is_some() || batch.about.idempotency.is_some() || self.partitions_with(batch).1 > 0
    }

    /// How many partitions the dataset of a batch has, and how many more it would have with the batch.
    fn partitions_with(&self, batch: &Prepared) -> (usize, usize) {
        let snapshot = self.reader.snapshot();
        let Some(partitions) = snapshot.datasets.get(&batch.about.dataset) else {
            return (0, batch.partitions().collect::<BTreeSet<_>>().len());
        };
        let new: BTreeSet<_> = batch.partitions().filter(|key| !partitions.contains_key(key)).collect();
        (partitions.len(), new.len())
    }

    /// The answer to a batch that is known already; none where it is to be committed.
    fn admit(&self, batch: &Prepared, group: &Group) -> Result<Option<Ack>, StoreError> {
        let about = &batch.about;
        if let Content::Carried { entry, blind, .. } = &batch.content
            && let Some(ack) = self.admit_entry(about, &entry.mark, *blind, group)?
        {
            return Ok(Some(ack));
        }
        match (self.known.answer(&about.dataset, about.idempotency.as_ref()), &batch.content) {
            (Ok(None), _) | (Err(_), Content::Refused(_)) => {}
            (known, _) => return known,
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
        let changed = self.changed_at.get(&about.dataset).copied().unwrap_or(0);
        if about.checked_at.is_some_and(|at| at < changed) {
            return Err(StoreError::Stale { dataset: about.dataset.clone() });
        }
        let ((old, new), max) = (self.partitions_with(batch), self.parts.sizes.partitions_max);
        if new > 0 && old + new > max {
            return Err(StoreError::TooManyPartitions { dataset: about.dataset.clone(), actual: old + new, max });
        }
        Ok(None)
    }

    /// The answer to an entry that counts already; none where it is the next one of its log.
    fn admit_entry(
        &self,
        about: &About,
        mark: &Arc<Mark>,
        blind: bool,
        group: &Group,
    ) -> Result<Option<Ack>, StoreError> {
        let waiting = || group.members.iter().filter_map(|member| Some((member, member.mark.as_ref()?)));
        let mut applied = self.logs.state(&mark.set).applied.clone();
        for (_, waiting) in waiting().filter(|(_, waiting)| waiting.set == mark.set) {
            applied.advance(&waiting.dot.origin, waiting.dot.seq);
        }
        if applied.contains(&mark.dot) {
            let version = self.reader.snapshot().version;
            return Ok(Some(Ack { rows: about.rows, bytes: 0, version, already_loaded: true }));
        }
        if applied.get(&mark.dot.origin) + 1 != mark.dot.seq || !applied.covers(&mark.follows) {
            return Err(StoreError::EntryAhead { dot: mark.dot.clone() });
        }
        let unseen = |(member, waiting): (&Member, &Arc<Mark>)| {
            member.about.dataset == about.dataset && !mark.follows.contains(&waiting.dot)
        };
        let own = group.members.iter().any(|member| member.mark.is_none() && member.about.dataset == about.dataset);
        let met = own || waiting().any(unseen) || self.logs.concurrent(mark, &about.dataset).next().is_some();
        if blind && met {
            return Err(StoreError::Stale { dataset: about.dataset.clone() });
        }
        Ok(None)
    }

    fn write_group(&mut self, group: Group, now_ms: u64, answers: &mut [Option<Answer>]) {
        if group.members.is_empty() {
            return;
        }
        let indices: Vec<usize> = group.members.iter().map(|member| member.index).collect();
        match self.log_group(group, now_ms) {
            Ok(all) => indices.iter().zip(all).for_each(|(index, answer)| answers[*index] = Some(answer)),
            Err(error) => {
                let error = Arc::new(error);
                for index in indices {
                    answers[index] = Some(Err(StoreError::Group { source: Arc::clone(&error) }));
                }
            }
        }
        if self.is_full() {
            self.freeze();
        }
    }

    fn log_group(&mut self, mut group: Group, now_ms: u64) -> Result<Vec<Answer>, StoreError> {
        let mut draft = Draft::new(self, &group.members);
        let mut versions = Vec::with_capacity(group.members.len());
        for member in &mut group.members {
            let (stamp, mark) = self.next(member, now_ms, &draft);
            // Where it fails, the others do not.
            let noted = self.note_changes(member, mark.as_deref(), &draft);
            if noted.is_ok() {
                self.draft(member, &stamp, mark, &mut draft)?;
            }
            versions.push(noted.map(|()| draft.snapshot.version));
        }
        let logged = versions.iter().filter(|version| version.is_ok()).count();
        if logged == 0 {
            return Ok(versions.into_iter().filter_map(Result::err).map(Err).collect());
        }
        match self.log.append(&draft.bytes, draft.last, self.parts.syncs_first()) {
            Ok(()) if self.parts.syncs_first() => self.synced.note_log(self.log.number, self.log.offset),
            Ok(()) => {}
            Err(AppendError::Unwritten(source)) => {
                return Err(self.hindered(StoreError::io("write", self.log.path())(source)));
            }
            Err(AppendError::Unknown(source)) => {
                return Err(self.refuse_writes(StoreError::io("sync", self.log.path())(source)));
            }
        }
        draft.places.into_iter().for_each(|place| self.logs.apply(place));
        draft.snapshot.applied = self.logs.applied();
        self.publish(draft.snapshot);
        self.change_health(|health| health.hindered = None);
        self.active.bytes += draft.grown;
        self.active.batches += logged as u64;
        let all = versions.into_iter().zip(&group.members);
        Ok(all.map(|(version, member)| Ok(self.note(version?, member))).collect())
    }

    /// What is left to note of a batch whose rows are durable and visible.
    fn note(&mut self, version: u64, member: &Member) -> Ack {
        let about = &member.about;
        let ack = Ack { rows: about.rows, bytes: member.len() as u64, version, already_loaded: false };
        self.active.values.entry(about.dataset.clone()).or_default().extend(about.values.iter().cloned());
        let remembered = self.noted(about, &ack);
        self.active.remember.extend(remembered);
        ack
    }

    /// Notes a committed batch in memory, and gives what the manifest is to remember of it.
    fn noted(&mut self, about: &About, ack: &Ack) -> Option<Remembered> {
        if about.checked_at.is_some() || self.parts.sets.contains_key(&about.dataset) {
            self.changed_at.insert(about.dataset.clone(), ack.version);
        }
        let remembered = remembered(about, ack)?;
        self.known.insert(remembered.clone());
        Some(remembered)
    }

    fn commit_written(&mut self, about: &About, written: Uncommitted) -> Answer {
        let mut snapshot = Snapshot::clone(&self.reader.snapshot());
        snapshot.version += 1;
        let bytes = written.segments().iter().map(|segment| segment.bytes).sum();
        let ack = Ack { rows: about.rows, bytes, version: snapshot.version, already_loaded: false };
        let mut edit = self.edit();
        edit.version = snapshot.version;
        edit.add = written.segments().iter().map(|segment| segment.entry.clone()).collect();
        edit.rules = self.rules([(&about.dataset, &about.values)])?;
        edit.remember = remembered(about, &ack).into_iter().collect();
        if let Err(error) = self.append(edit) {
            if self.manifest.is_poisoned() {
                // The manifest on the disk may name the segments: only an open can tell.
                written.keep();
            }
            return Err(error);
        }
        self.noted(about, &ack);
        self.add_segments(&mut snapshot, &about.dataset, written)?;
        self.publish(snapshot);
        Ok(ack)
    }

    fn add_segments(
        &self,
        snapshot: &mut Snapshot,
        dataset: &DatasetName,
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
        self.note_hindrance(&source);
        StoreError::Hindered { source }
    }

    /// Tries, after a write that was not done, whether one would be now: nobody sends rows to a store that says that it
    /// takes none.
    pub(crate) fn probe(&mut self) {
        if self.is_full() {
            self.freeze();
        }
        if self.health().hindered.is_some() && !self.is_full() && self.log.probe().is_ok() && self.has_room() {
            self.change_health(|health| health.hindered = None);
        }
    }

    /// Whether the disk would take a file of the size that a batch may have.
    fn has_room(&self) -> bool {
        let (disk, path) = (self.parts.disk.as_ref(), disk::temporary(&self.parts.dir.join("room")));
        let reserved = disk.create(&path).and_then(|file| file.reserve(self.parts.sizes.batch_bytes_max as u64));
        disk::discard(disk, &path);
        reserved.is_ok()
    }

    /// Takes note that a batch could not be prepared, because the disk is full, say.
    pub fn note_hindrance(&self, source: &Arc<StoreError>) {
        self.change_health(|health| health.hindered = Some(Arc::clone(source)));
    }

    /// Lets the log go on in a new file, so that the rows in the old one can become segments. Where that fails, the
    /// old file is written on, as far as there is room for recent rows, and the next commit or look for work tries
    /// again.
    pub(crate) fn freeze(&mut self) {
        if self.frozen.is_some() || self.active.batches == 0 || self.health().refusal().is_some() {
            return;
        }
        let next = match self.next_log() {
            Ok(next) => next,
            Err(error) => return drop(self.hindered(error)),
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

    /// The file that the log can go on in.
    fn next_log(&mut self) -> Result<LogFile, StoreError> {
        self.log.clean().map_err(StoreError::io("mend", self.log.path()))?;
        let header = FileHeader {
            number: self.log.number + 1,
            before_end: self.log.offset,
            epoch: self.sequencer.epoch(),
            region: self.parts.region.clone(),
        };
        LogFile::create(self.parts.disk.as_ref(), &self.parts.wal_dir(), &header, self.parts.sizes.log_file_bytes)
    }
}

fn remembered(about: &About, ack: &Ack) -> Option<Remembered> {
    let idempotency = about.idempotency.clone()?;
    let (dataset, rows, bytes, version) = (about.dataset.to_string(), ack.rows, ack.bytes, ack.version);
    Some(Remembered { dataset, idempotency, rows, bytes, version })
}

impl Group {
    fn has(&self, dataset: &DatasetName) -> bool {
        self.members.iter().any(|member| member.about.dataset == *dataset)
    }
}
