//! Making a backup: what the store has at one version, copied while it goes on.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use chrono::DateTime;

use super::{BackupProblem, BackupReport, BackupRequest, Contents, OnBackup, Progress, Selection, object_of};
use crate::catalog::Catalog;
use crate::jobs::Pace;
use crate::lifecycle::copy;
use crate::manifest;
use crate::objects::Objects;
use crate::segment::SegmentEntry;
use crate::{Segment, Store, StoreError};

/// The backup that is being made, one at a time.
#[derive(Debug, Default)]
pub(crate) enum Queue {
    #[default]
    Empty,
    /// Until rows that are on their way into segments have arrived.
    Waiting {
        name: String,
        request: BackupRequest,
        now_ms: u64,
    },
    /// Its rows are known; those that were recent are on their way into segments.
    Flushing(Backup),
    Ready(Backup),
    Running,
}

/// A backup to be copied.
pub(crate) struct Backup {
    name: String,
    contents: Contents,
    segments: Vec<Arc<Segment>>,
    selection: Selection,
    objects: Arc<dyn Objects>,
    on_done: OnBackup,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Selection {
    /// Whether a segment belongs to it.
    pub(crate) fn has(&self, entry: &SegmentEntry, catalog: &Catalog) -> bool {
        match self {
            Self::All => true,
            Self::Dataset(dataset) => entry.dataset == dataset.as_str(),
            Self::Partition(dataset, partition) => {
                let spec = catalog.entry(dataset).map(|entry| &entry.spec.dataset);
                entry.dataset == dataset.as_str()
                    && spec.is_ok_and(|spec| entry.partition.name(&spec.partitioning) == *partition)
            }
        }
    }
}

impl Backup {
    /// Copies the segments that are not there yet, then the list of all, and tells the outcome.
    pub(crate) fn run(self, pace: Pace<'_>) {
        let Self { name, mut contents, segments, objects, on_done, .. } = self;
        contents.segments =
            segments.iter().map(|segment| SegmentEntry { cold: false, ..segment.entry.clone() }).collect();
        let done = copy_all(&name, &contents, &segments, objects.as_ref(), pace);
        match &done {
            Ok(report) => tracing::info!(name, bytes = report.bytes, copied = report.copied_bytes, "made a backup"),
            Err(error) => tracing::warn!(name, %error, "a backup failed"),
        }
        on_done(done);
    }
}

fn copy_all(
    name: &str,
    contents: &Contents,
    segments: &[Arc<Segment>],
    objects: &dyn Objects,
    pace: Pace<'_>,
) -> Result<BackupReport, StoreError> {
    let mut copied = 0;
    let mut progress = Progress::new(name, "made", segments.iter().map(|segment| &segment.entry));
    for segment in segments {
        let object = object_of(&segment.entry);
        let is_there = match objects.size(&object) {
            Ok(size) => size == segment.bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(StoreError::objects("inspect", &object)(error)),
        };
        if is_there {
            // Whoever put it may have been cut off before it was durable.
            objects.secure(&object).map_err(StoreError::objects("secure", &object))?;
        } else {
            copy(segment, objects, &object, pace)?;
            copied += segment.bytes;
        }
        progress.add(segment.bytes);
    }
    contents.put(objects, name)?;
    Ok(contents.report(name, copied))
}

impl Store {
    /// Asks for a backup of what is committed by now. It is made by jobs: first recent rows become segments, then
    /// segments are copied. Gives its name.
    ///
    /// # Errors
    /// Where another one is being made, there is no such dataset or partition, or a partition is asked for whose rows
    /// may move: without the others it could not be restored.
    pub fn request_backup(&mut self, request: BackupRequest, now_ms: u64) -> Result<String, StoreError> {
        let at = DateTime::from_timestamp_millis(i64::try_from(now_ms).unwrap_or(i64::MAX)).unwrap_or_default();
        let name = format!("{}-{}", at.format("%Y%m%dT%H%M%S%3fZ"), self.parts.region);
        let refuse = |problem| Err(StoreError::Backup { name: name.clone(), problem });
        if !matches!(self.jobs.backup, Queue::Empty) {
            return refuse(BackupProblem::Busy);
        }
        let snapshot = self.reader.snapshot();
        if let Some(dataset) = request.selection.dataset() {
            let described = &self.reader.catalog.entry(dataset)?.spec.dataset;
            if let Selection::Partition(_, partition) = &request.selection {
                if described.rows_may_move() {
                    return refuse(BackupProblem::RowsMove { dataset: dataset.clone() });
                }
                let held = snapshot.held(dataset).map(|held| held.key.name(&described.partitioning));
                let names: Vec<String> = held.collect();
                if !names.contains(partition) {
                    return refuse(BackupProblem::no_partition(&request.selection, partition, &names));
                }
            }
        }
        self.jobs.backup = Queue::Waiting { name: name.clone(), request, now_ms };
        Ok(name)
    }

    /// The backup that can be copied now; none where there is none, or rows are not in segments yet.
    pub(crate) fn next_backup(&mut self) -> Option<Backup> {
        if self.frozen.is_none() {
            self.capture_backup();
        }
        match std::mem::take(&mut self.jobs.backup) {
            Queue::Ready(backup) => {
                self.jobs.backup = Queue::Running;
                Some(backup)
            }
            other => {
                self.jobs.backup = other;
                None
            }
        }
    }

    /// Gives up a backup that waits for recent rows to become segments.
    pub(crate) fn drop_backup(&mut self, reason: StoreError) {
        match std::mem::take(&mut self.jobs.backup) {
            Queue::Waiting { request, .. } => (request.on_done)(Err(reason)),
            Queue::Flushing(backup) | Queue::Ready(backup) => (backup.on_done)(Err(reason)),
            other => self.jobs.backup = other,
        }
    }

    /// Fixes what the backup has: all segments, and the recent rows, which are frozen as they are.
    pub(crate) fn capture_backup(&mut self) {
        if !matches!(self.jobs.backup, Queue::Waiting { .. }) {
            return;
        }
        self.freeze();
        if self.active.batches != 0 {
            // The log cannot go on in a new file just now.
            return;
        }
        let Queue::Waiting { name, request, now_ms } = std::mem::take(&mut self.jobs.backup) else { return };
        let BackupRequest { objects, selection, on_done } = request;
        let contents = match self.contents(&selection, now_ms) {
            Ok(contents) => contents,
            Err(error) => return on_done(Err(error)),
        };
        let snapshot = self.reader.snapshot();
        let held = snapshot.datasets.values().flat_map(|partitions| partitions.values());
        let segments = held.flat_map(|partition| partition.segments.iter().cloned());
        let segments = segments.filter(|segment| selection.has(&segment.entry, &self.reader.catalog)).collect();
        let backup = Backup { name, contents, segments, selection, objects, on_done };
        self.jobs.backup = if self.frozen.is_some() { Queue::Flushing(backup) } else { Queue::Ready(backup) };
    }

    /// All that a backup has beside the segments.
    fn contents(&self, selection: &Selection, now_ms: u64) -> Result<Contents, StoreError> {
        let snapshot = self.reader.snapshot();
        let wanted = |name: &str| selection.dataset().is_none_or(|dataset| dataset.as_str() == name);
        if let Some((dataset, damage)) = snapshot.damage.iter().find(|(dataset, _)| wanted(dataset.as_str())) {
            return Err(StoreError::Damaged { dataset: dataset.clone(), source: Arc::clone(damage) });
        }
        let mut state = self.state.clone();
        for unflushed in self.frozen.iter().chain([&self.active]) {
            let (rules, remember) = (self.rules(&unflushed.values)?, unflushed.remember.clone());
            state.apply(manifest::Edit { rules, remember, ..self.edit() });
        }
        let entries = self.reader.catalog.entries().map(|entry| (entry.spec.dataset.name.to_string(), entry.shape));
        Ok(Contents {
            format: Contents::FORMAT,
            region: state.region.clone(),
            created_ms: now_ms,
            dataset: selection.dataset().map(ToString::to_string),
            partition: match selection {
                Selection::Partition(_, partition) => Some(partition.clone()),
                _ => None,
            },
            epoch: state.epoch,
            version: snapshot.version,
            hlc: self.sequencer.hlc().0,
            next_seq: self.sequencer.next_seq(),
            shapes: entries.filter(|(name, _)| wanted(name)).collect(),
            rules: state.rules.into_iter().filter(|(name, _)| wanted(name)).collect::<BTreeMap<_, _>>(),
            segments: Vec::new(),
            logs: if *selection == Selection::All { self.logs.notes() } else { BTreeMap::new() },
            remembered: state.remembered.into_iter().filter(|batch| wanted(&batch.dataset)).collect(),
        })
    }

    /// The rows that were recent when the backup was fixed are in these segments now.
    pub(crate) fn backup_flushed(&mut self, written: &[Arc<Segment>]) {
        match std::mem::take(&mut self.jobs.backup) {
            Queue::Flushing(mut backup) => {
                let catalog = &self.reader.catalog;
                let wanted = written.iter().filter(|segment| backup.selection.has(&segment.entry, catalog));
                backup.segments.extend(wanted.cloned());
                self.jobs.backup = Queue::Ready(backup);
            }
            other => self.jobs.backup = other,
        }
    }
}
