//! Restoring a backup: everything is copied and checked first, then one edit of the manifest makes it count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domicile_types::{DatasetName, RegionId, Residency};

use super::{BackupProblem, BackupReport, Contents, Progress, Selection, stored};
use crate::catalog::Entry;
use crate::disk;
use crate::jobs::Pace;
use crate::objects::Objects;
use crate::prepare::Uncommitted;
use crate::refusals::Refusals;
use crate::rows::columns_of;
use crate::segment::{Place, Segment, SegmentEntry, SegmentReader};
use crate::{Store, StoreError, StoreParts, homes};

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The backup.
    pub backup: String,
    /// Version of the store that the backup has.
    pub backup_version: u64,
    /// What was restored.
    pub selection: Selection,
    /// Version of the store now.
    pub version: u64,
    /// How often the store was restored as a whole.
    pub epoch: u32,
    /// Segments restored.
    pub segments: usize,
    /// Row versions in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Reads all of a region's backup, the latest where no name is given, and compares it with its checksums.
///
/// # Errors
/// Where there is no such backup, something of it is missing or damaged, or the place cannot be reached.
pub fn verify_backup(
    objects: &Arc<dyn Objects>,
    name: Option<&str>,
    region: &RegionId,
) -> Result<BackupReport, StoreError> {
    let (name, contents) = Contents::load(objects.as_ref(), name, region)?;
    let mut progress = Progress::new(&name, "read", contents.segments.iter());
    for entry in &contents.segments {
        let segment = stored(objects, entry);
        let whole = segment.verify(|_| Ok(())).and_then(|()| segment.metadata());
        whole.map_err(|error| of_backup(&name, &segment, error))?;
        progress.add(entry.bytes);
    }
    Ok(contents.report(&name, 0))
}

/// Restores a backup, the latest where no name is given, into the directory of a store that is not open.
///
/// Everything goes into a directory without rows: the store is then what it was, one epoch later. One dataset or
/// partition replaces exactly what the store has of it. Until all of it is copied and checked nothing counts: where
/// this fails or is killed, the store is as it was.
///
/// # Errors
/// Where the backup is not whole, not this region's, does not have what is asked for, or does not fit the datasets and
/// rules of now; where the store is open or takes no writes, or the disk fails.
pub fn restore(
    parts: StoreParts,
    objects: &Arc<dyn Objects>,
    name: Option<&str>,
    selection: &Selection,
    pace: &dyn Fn(u64),
) -> Result<RestoreReport, StoreError> {
    let (name, contents) = Contents::load(objects.as_ref(), name, &parts.region)?;
    let refuse = |problem| StoreError::Backup { name: name.clone(), problem };
    let selection = narrowed(&contents, selection).map_err(refuse)?;
    let mut store = Store::open(parts)?;
    if let Some(refusal) = store.health().refusal() {
        return Err(refusal);
    }
    store.flush_all(pace)?;
    let restoring = Restoring { store, name, contents, objects: Arc::clone(objects), selection };
    restoring.check()?;
    let written = restoring.copy(pace)?;
    restoring.install(written)
}

/// What was found to be wrong with a segment of a backup: there is nothing else that it could be restored from.
fn of_backup(name: &str, segment: &Segment, error: StoreError) -> StoreError {
    let Some(problem) = error.segment_problem().cloned() else { return error };
    let problem = BackupProblem::Segment { address: segment.location().display().to_string(), problem };
    StoreError::Backup { name: name.to_owned(), problem }
}

/// What of a backup is to be restored.
fn narrowed(contents: &Contents, wanted: &Selection) -> Result<Selection, BackupProblem> {
    let has = contents.selection().ok_or(BackupProblem::Format)?;
    let is_within = match (wanted, &has) {
        (Selection::All, _) => return Ok(has),
        (_, Selection::All) => wanted.dataset().is_some_and(|dataset| contents.shapes.contains_key(dataset.as_str())),
        (Selection::Dataset(_), Selection::Dataset(_)) | (Selection::Partition(..), Selection::Partition(..)) => {
            *wanted == has
        }
        (Selection::Partition(dataset, _), Selection::Dataset(held)) => dataset == held,
        (Selection::Dataset(_), Selection::Partition(..)) => false,
    };
    if is_within {
        Ok(wanted.clone())
    } else {
        Err(BackupProblem::NotInIt { selection: wanted.to_string(), has: has.to_string() })
    }
}

/// Copies a segment into a store's directory under an entry of its own, checked. Nothing is left of one that is damaged.
pub(crate) fn copy_in(parts: &StoreParts, source: &Segment, copied: SegmentEntry) -> Result<Segment, StoreError> {
    let disk = &parts.disk;
    let path = parts.segments_dir().join(&copied.file);
    let temporary = disk::temporary(&path);
    let write = || -> Result<(), StoreError> {
        let file = disk.create(&temporary).map_err(StoreError::io("create", &temporary))?;
        let mut offset = 0;
        source.verify(|bytes| {
            file.write_at(offset, bytes).map_err(StoreError::io("write", &temporary))?;
            offset += bytes.len() as u64;
            Ok(())
        })?;
        file.sync().map_err(StoreError::io("sync", &temporary))?;
        disk.rename(&temporary, &path).map_err(StoreError::io("rename to", &path))
    };
    if let Err(error) = write() {
        disk::discard(disk.as_ref(), &temporary);
        return Err(error);
    }
    let segment = Segment::new(copied, Place::Disk { disk: Arc::clone(disk), path });
    if let Err(error) = segment.metadata() {
        segment.retire();
        return Err(error);
    }
    Ok(segment)
}

struct Restoring {
    store: Store,
    name: String,
    contents: Contents,
    objects: Arc<dyn Objects>,
    selection: Selection,
}

impl Restoring {
    fn refuse(&self, problem: BackupProblem) -> StoreError {
        StoreError::Backup { name: self.name.clone(), problem }
    }

    fn entry(&self, dataset: &str) -> Result<&Entry, StoreError> {
        let entry = dataset.parse().ok().and_then(|name: DatasetName| self.store.reader.catalog.entry(&name).ok());
        entry.ok_or_else(|| self.refuse(BackupProblem::Dataset { dataset: dataset.to_owned() }))
    }

    /// The segments to restore.
    fn wanted(&self) -> Vec<&SegmentEntry> {
        let catalog = &self.store.reader.catalog;
        self.contents.segments.iter().filter(|entry| self.selection.has(entry, catalog)).collect()
    }

    /// Checks that the backup fits the store, its datasets, and their rules.
    fn check(&self) -> Result<(), StoreError> {
        if let Some(dataset) = self.selection.dataset()
            && let Some(set) = self.store.parts.sets.get(dataset)
        {
            return Err(self.refuse(BackupProblem::Replicated { dataset: dataset.clone(), set: set.clone() }));
        }
        match &self.selection {
            Selection::All if !self.store.state.segments.is_empty() => {
                return Err(self.refuse(BackupProblem::NotEmpty));
            }
            Selection::Partition(dataset, partition) => {
                let entry = self.entry(dataset.as_str())?;
                if entry.spec.dataset.rows_may_move() {
                    return Err(self.refuse(BackupProblem::RowsMove { dataset: dataset.clone() }));
                }
                // A name that neither has is a mistake, not an empty partition.
                let partitioning = &entry.spec.dataset.partitioning;
                let held = self.store.state.segments.values().chain(&self.contents.segments);
                let held = held.filter(|entry| entry.dataset == dataset.as_str());
                let names: BTreeSet<String> = held.map(|entry| entry.partition.name(partitioning)).collect();
                if !names.contains(partition) {
                    let names: Vec<String> = names.into_iter().collect();
                    return Err(self.refuse(BackupProblem::no_partition(&self.selection, partition, &names)));
                }
            }
            _ => {}
        }
        for (dataset, shape) in self.contents.shapes.iter().filter(|(dataset, _)| self.concerns(dataset)) {
            let entry = self.entry(dataset)?;
            if !entry.fits(*shape) {
                return Err(self.refuse(BackupProblem::Shape { dataset: entry.spec.dataset.name.clone() }));
            }
        }
        let stored: BTreeSet<&str> = self.wanted().iter().map(|entry| entry.dataset.as_str()).collect();
        for dataset in &stored {
            let entry = self.entry(dataset)?;
            let rule = self.contents.rules.get(*dataset).ok_or_else(|| self.refuse(BackupProblem::Format))?;
            rule.check(entry, &self.store.parts.region)?;
        }
        // Segments may be from before a column was added.
        let fits = |wanted: &&SegmentEntry| {
            let is_told = self.contents.shapes.contains_key(&wanted.dataset);
            is_told && self.entry(&wanted.dataset).is_ok_and(|entry| entry.fits(wanted.shape))
        };
        if self.wanted().iter().all(fits) { Ok(()) } else { Err(self.refuse(BackupProblem::Format)) }
    }

    fn concerns(&self, dataset: &str) -> bool {
        self.selection.dataset().is_none_or(|wanted| wanted.as_str() == dataset)
    }

    /// Copies the segments, each checked, under numbers of their own.
    fn copy(&self, pace: Pace<'_>) -> Result<Uncommitted, StoreError> {
        let mut written = Uncommitted::default();
        let mut runs: BTreeMap<u64, u64> = BTreeMap::new();
        let wanted = self.wanted();
        let mut progress = Progress::new(&self.name, "restored", wanted.iter().copied());
        for entry in wanted {
            let id = self.store.sequencer.segment_id();
            let run = *runs.entry(entry.run).or_insert(id);
            let file = SegmentEntry::file_name(&entry.dataset, id, &entry.sha256);
            let copied = SegmentEntry { id, run, file, cold: false, ..entry.clone() };
            let segment = self.copy_one(entry, copied)?;
            pace(segment.bytes);
            self.check_homes(&segment)?;
            progress.add(segment.bytes);
            written.push_shared(segment);
        }
        let dir = self.store.parts.segments_dir();
        self.store.parts.disk.sync_dir(&dir).map_err(StoreError::io("sync", &dir))?;
        Ok(written)
    }

    fn copy_one(&self, entry: &SegmentEntry, copied: SegmentEntry) -> Result<Arc<Segment>, StoreError> {
        let source = stored(&self.objects, entry);
        let copied = copy_in(&self.store.parts, &source, copied);
        copied.map(Arc::new).map_err(|error| of_backup(&self.name, &source, error))
    }

    /// Checks the home of every row where a column says it: a list of values is not proof enough.
    fn check_homes(&self, segment: &Arc<Segment>) -> Result<(), StoreError> {
        let entry = self.entry(&segment.entry.dataset)?;
        let Residency::Column { column, homes, .. } = &entry.spec.residency else { return Ok(()) };
        let (mut held, mut refusals) = (BTreeSet::new(), Refusals::default());
        for batch in SegmentReader::open(segment, entry, Some(&[column]))? {
            let batch = batch?;
            let values = &columns_of(&batch, &[column])?[0];
            homes::check(column, values, homes, &self.store.parts.region, &mut held, &mut refusals)?;
            refusals.advance(batch.num_rows());
        }
        let Err(refused) = refusals.into_result() else { return Ok(()) };
        let first = match refused {
            StoreError::RowsRefused { first, .. } => first.first().map(ToString::to_string).unwrap_or_default(),
            other => other.to_string(),
        };
        segment.retire();
        Err(self.refuse(BackupProblem::Home { dataset: entry.spec.dataset.name.clone(), first }))
    }

    /// The one edit.
    fn install(mut self, written: Uncommitted) -> Result<RestoreReport, StoreError> {
        let store = &self.store;
        let contents = &self.contents;
        let replaced: Vec<&SegmentEntry> = match self.selection {
            Selection::All => Vec::new(),
            _ => {
                store.state.segments.values().filter(|entry| self.selection.has(entry, &store.reader.catalog)).collect()
            }
        };
        let mut edit = store.edit();
        edit.version = edit.version.max(store.reader.snapshot().version).max(contents.version) + 1;
        edit.hlc = edit.hlc.max(contents.hlc);
        edit.next_seq = edit.next_seq.max(contents.next_seq);
        if self.selection == Selection::All {
            // Numbers of rows that were written after the backup, and are lost, must not be given out again.
            edit.epoch = Some(store.state.epoch.max(contents.epoch) + 1);
            edit.logs.clone_from(&contents.logs);
        }
        edit.remove = replaced.iter().map(|entry| entry.id).collect();
        edit.doom = replaced.iter().filter(|entry| entry.cold).map(|entry| entry.object()).collect();
        edit.add = written.segments().iter().map(|segment| segment.entry.clone()).collect();
        let concerned = |name: &&String| self.concerns(name);
        edit.rules =
            contents.rules.keys().filter(concerned).map(|name| (name.clone(), contents.rules[name].clone())).collect();
        // A batch that is gone with what was replaced must not pass for loaded.
        edit.forget = self.selection.dataset().map(ToString::to_string).into_iter().collect();
        edit.remember = contents.remembered.iter().filter(|batch| self.concerns(&batch.dataset)).cloned().collect();
        let (version, segments) = (edit.version, written.segments());
        let report = RestoreReport {
            backup: self.name.clone(),
            backup_version: contents.version,
            selection: self.selection.clone(),
            version,
            epoch: edit.epoch.unwrap_or(store.state.epoch),
            segments: segments.len(),
            rows: segments.iter().map(|segment| segment.rows).sum(),
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
        };
        let appended = self.store.append(edit);
        if appended.is_ok() || self.store.manifest.is_poisoned() {
            written.keep();
        }
        appended.map(|()| report)
    }
}

impl Store {
    /// Puts all recent rows into segments, here and now.
    pub(crate) fn flush_all(&mut self, pace: Pace<'_>) -> Result<(), StoreError> {
        // Those on their way are the first of two.
        for _ in 0..2 {
            self.freeze();
            if self.frozen.is_some() {
                let written = self.flush_job().run(pace)?;
                self.finish_flush(written)?;
            }
        }
        if self.active.batches == 0 {
            return Ok(());
        }
        let source = std::io::Error::other("the log cannot go on in a new file");
        Err(StoreError::Io { action: "write", path: self.parts.wal_dir(), source })
    }
}
