//! Recent rows become segments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use domicile_types::DatasetName;

use crate::catalog::Catalog;
use crate::disk::{self, Disk};
use crate::jobs::Pace;
use crate::partition::PartitionKey;
use crate::prepare::Uncommitted;
use crate::segment::{Writer, WriterParts};
use crate::version::Sequencer;
use crate::{Segment, Snapshot, Store, StoreError, rows, wal};

/// The frozen rows, on their way into segments.
#[derive(Debug)]
pub(crate) struct Flush {
    disk: Arc<dyn Disk>,
    /// Directory of the segments.
    dir: PathBuf,
    catalog: Arc<Catalog>,
    sequencer: Arc<Sequencer>,
    parts: Vec<(DatasetName, PartitionKey, Vec<RecordBatch>)>,
}

impl Flush {
    /// Writes a durable segment for each partition that has frozen rows.
    pub(crate) fn run(self, pace: Pace<'_>) -> Result<Uncommitted, StoreError> {
        let mut written = Uncommitted::default();
        for (dataset, partition, batches) in &self.parts {
            let entry = self.catalog.entry(dataset)?;
            let merged = rows::merged(batches, &entry.stored, entry.primary_key())?;
            let id = self.sequencer.segment_id();
            let (disk, dir) = (&self.disk, self.dir.as_path());
            let mut writer = Writer::create(&WriterParts { disk, dir, entry, partition, id, run: id }, &merged)?;
            writer.write(&merged)?;
            let segment = writer.finish()?;
            pace(segment.bytes);
            written.push(segment);
        }
        self.disk.sync_dir(&self.dir).map_err(StoreError::io("sync", &self.dir))?;
        Ok(written)
    }
}

impl Store {
    /// The work that the frozen rows are waiting for.
    pub(crate) fn flush_job(&self) -> Flush {
        let snapshot = self.reader.snapshot();
        let frozen = snapshot.datasets.iter().flat_map(|(dataset, partitions)| {
            let frozen = partitions.values().filter(|partition| partition.frozen > 0);
            frozen.map(move |partition| {
                (dataset.clone(), partition.key.clone(), partition.recent[..partition.frozen].to_vec())
            })
        });
        Flush {
            disk: Arc::clone(&self.parts.disk),
            dir: self.parts.segments_dir(),
            catalog: Arc::clone(&self.reader.catalog),
            sequencer: Arc::clone(&self.sequencer),
            parts: frozen.collect(),
        }
    }

    /// Puts the segments in the place of the frozen rows, and lets go of their log files.
    pub(crate) fn finish_flush(&mut self, written: Uncommitted) -> Result<(), StoreError> {
        let Some(frozen) = &self.frozen else { return Ok(()) };
        let mut edit = self.edit();
        // Commits that are still only in the log count from the log.
        edit.replay_from = Some(self.parts.replay_after(frozen.log));
        edit.add = written.segments().iter().map(|segment| segment.entry.clone()).collect();
        edit.remember = frozen.remember.clone();
        let mut values: BTreeMap<DatasetName, BTreeSet<_>> = frozen.values.clone();
        for segment in written.segments() {
            if let Some(dataset) = crate::manifest::dataset_of(&segment.entry) {
                values.entry(dataset).or_default();
            }
        }
        edit.rules = self.rules(&values)?;
        edit.version = edit.version.max(self.reader.snapshot().version);
        if let Err(error) = self.append(edit) {
            if self.manifest.is_poisoned() {
                written.keep();
            }
            return Err(error);
        }
        self.frozen = None;
        let written = written.keep();
        self.backup_flushed(&written);
        self.install(written)?;
        self.drop_logs();
        // Before the next commit: under load, rows are frozen again at once.
        self.capture_backup();
        Ok(())
    }

    fn install(&self, segments: Vec<Arc<Segment>>) -> Result<(), StoreError> {
        let mut snapshot = Snapshot::clone(&self.reader.snapshot());
        for segment in segments {
            let Some(dataset) = crate::manifest::dataset_of(&segment.entry) else { continue };
            let key = segment.entry.partition.clone();
            let first_key = self.reader.catalog.entry(&dataset)?.primary_key().first().cloned();
            snapshot.change(&dataset, &key, first_key.as_ref(), |partition| {
                partition.recent.drain(..std::mem::take(&mut partition.frozen));
                partition.segments.push(segment);
                Ok(())
            })?;
        }
        self.publish(snapshot);
        Ok(())
    }

    /// Removes the log files whose rows are in segments and whose entries nobody needs.
    fn drop_logs(&self) {
        let needed = self.logs.first_file().unwrap_or(self.state.replay_from).min(self.state.replay_from);
        let dir = self.parts.wal_dir();
        let Ok(files) = self.parts.disk.list(&dir) else { return };
        for file in files {
            if wal::number_of(&file).is_some_and(|number| number < needed) {
                disk::discard(self.parts.disk.as_ref(), &file);
            }
        }
    }
}
