//! The region that starts: a snapshot takes the place of all that it had of the set, by one edit of the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domicile_types::{DatasetName, Hlc, Origin, SetName};

use super::kept::Kept;
use super::related::{self, Target};
use super::{BootstrapProblem, RowsAbout, Staging};
use crate::backup::copy_in;
use crate::logs::{Located, Note, Place, SetState};
use crate::manifest;
use crate::prepare::Uncommitted;
use crate::segment::{self, Segment, SegmentEntry};
use crate::wal::record::Place as RecordPlace;
use crate::wal::{AppendError, Use, mark};
use crate::{Snapshot, Store, StoreError};

/// Bytes of records that go to the log at once.
const APPEND_BYTES: usize = 1024 * 1024;

/// What is about to count.
struct Incoming {
    set: SetName,
    life: Origin,
    hlc: Hlc,
    next_seq: u64,
    state: SetState,
    /// Datasets whose rows it replaces.
    datasets: BTreeSet<DatasetName>,
    /// Number of the log file that its entries are in.
    since: u64,
    places: Vec<Place>,
}

impl Store {
    /// Lets a snapshot that is whole here count instead of all that this region has of its set, as one step. From then
    /// on this region writes the log that was given out with it. Entries that count here and that the snapshot does not
    /// have are set aside first. `about` are datasets with rows about those of the set; their rows about others stay.
    ///
    /// # Errors
    /// Where files are missing or damaged (they are then wanted again), the snapshot does not fit the datasets, a flush
    /// is under way, there is no room for what is set aside, or the disk fails. Nothing has changed then.
    pub fn start_from(&mut self, staging: &mut Staging, about: &[RowsAbout]) -> Result<Origin, StoreError> {
        if let Some(refusal) = self.health().refusal() {
            return Err(refusal);
        }
        staging.check()?;
        let mut incoming = self.incoming(staging, about)?;
        self.set_aside(&self.beyond(&incoming)?)?;
        if self.is_flushing() {
            return Err(BootstrapProblem::Busy.into());
        }
        self.flush_all(&|_| {})?;
        let mut written = self.copy_staged(staging)?;
        let mut stay = Vec::new();
        let datasets = self.datasets_of(&incoming.set);
        let is_other = |name: &str| !related::names(&datasets)(name);
        let dir = self.parts.segments_dir();
        for about in about {
            let (disk, sequencer) = (&self.parts.disk, self.sequencer.as_ref());
            let target = Target { disk, dir: &dir, sequencer };
            let entry = self.reader.catalog.entry(&about.dataset)?;
            let (whole, rest) = related::segments(&self.reader.snapshot(), entry, about, &is_other, &target)?;
            stay.extend(whole);
            rest.into_iter().for_each(|segment| written.push(segment));
        }
        self.parts.disk.sync_dir(&dir).map_err(StoreError::io("sync", &dir))?;
        self.log_kept(staging, &mut incoming)?;
        self.count(incoming, written, &stay)
    }

    /// Reads what the list says, and checks that it fits.
    fn incoming(&self, staging: &Staging, about: &[RowsAbout]) -> Result<Incoming, StoreError> {
        let list = &staging.list;
        let misfit = || StoreError::from(BootstrapProblem::Misfit { set: list.set.clone() });
        let mut datasets = self.datasets_of(&list.set);
        datasets.extend(about.iter().map(|about| about.dataset.clone()));
        let content = &list.content;
        let fits =
            |dataset: &DatasetName, shape: u32| self.reader.catalog.entry(dataset).is_ok_and(|entry| entry.fits(shape));
        let all_fit = datasets
            .iter()
            .all(|dataset| content.shapes.get(dataset.as_str()).is_some_and(|shape| fits(dataset, *shape)));
        // Segments may be from before a column was added.
        let is_known = |segment: &SegmentEntry| {
            datasets.iter().any(|dataset| dataset.as_str() == segment.dataset && fits(dataset, segment.shape))
        };
        if !all_fit || content.shapes.len() != datasets.len() || !content.segments.iter().all(is_known) {
            return Err(misfit());
        }
        let state = content.note.state().ok_or_else(misfit)?;
        let (set, life, hlc) = (list.set.clone(), list.life.clone(), Hlc(content.hlc));
        let next_seq = content.next_seq;
        Ok(Incoming { set, life, hlc, next_seq, state, datasets, since: 0, places: Vec::new() })
    }

    /// The entries that count here and that the snapshot does not have.
    fn beyond(&self, incoming: &Incoming) -> Result<Vec<crate::Entry>, StoreError> {
        let places = self.entries_beyond(&incoming.set, &incoming.state.applied);
        let entries = Located::of(&self.parts.disk, &self.parts.wal_dir(), places).read()?;
        Ok(entries.into_iter().filter(|entry| entry.rows() > 0).collect())
    }

    fn copy_staged(&self, staging: &Staging) -> Result<Uncommitted, StoreError> {
        let (mut written, mut runs) = (Uncommitted::default(), BTreeMap::new());
        for entry in &staging.list.content.segments {
            let id = self.sequencer.segment_id();
            let run = *runs.entry((entry.dataset.clone(), entry.run)).or_insert(id);
            let file = SegmentEntry::file_name(&entry.dataset, id, &entry.sha256);
            let copied = SegmentEntry { id, run, file, cold: false, ..entry.clone() };
            let place = segment::Place::Disk { disk: Arc::clone(&self.parts.disk), path: staging.path(&entry.sha256) };
            written.push(copy_in(&self.parts, &Segment::new(entry.clone(), place), copied)?);
        }
        Ok(written)
    }

    /// Puts the entries that came with the snapshot into the log, which has nothing in its last file yet. They are of no
    /// use to anybody until the manifest names the file.
    fn log_kept(&mut self, staging: &Staging, incoming: &mut Incoming) -> Result<(), StoreError> {
        incoming.since = self.log.number;
        let (mut bytes, mut last, mut places) = (Vec::new(), self.log.last(), Vec::new());
        let mut version = self.reader.snapshot().version;
        let mut count = 0;
        staging.each_entry(|kept| {
            let Kept { entry, local_hlc, first_seq, rows } = kept;
            version += 1;
            let (hlc, before, group) = (local_hlc, last, self.log.offset);
            let place = RecordPlace { version, hlc, first_seq, epoch: rows, before, group, used: Use::Kept };
            last = entry.body.dataset;
            let start = bytes.len();
            entry.body.write(&place, &mark::encode(&entry.mark)?, self.log.seed(), &mut bytes);
            let (_, dataset, _) = entry.open()?;
            places.push(Place {
                dataset,
                file: self.log.number,
                offset: self.log.offset + start as u64,
                bytes: (bytes.len() - start) as u64,
                local_hlc,
                first_seq,
                rows: u64::from(rows),
                has_rows: entry.body.rows > 0,
                mark: entry.mark,
            });
            count += 1;
            if bytes.len() >= APPEND_BYTES { self.append_kept(&mut bytes, last) } else { Ok(()) }
        })?;
        self.append_kept(&mut bytes, last)?;
        let mut snapshot = Snapshot::clone(&self.reader.snapshot());
        snapshot.version = version;
        self.publish(snapshot);
        self.active.batches += count;
        incoming.places = places;
        Ok(())
    }

    fn append_kept(&mut self, bytes: &mut Vec<u8>, last: u32) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self.log.append(bytes, last, true) {
            Ok(()) => self.synced.note_log(self.log.number, self.log.offset),
            Err(AppendError::Unwritten(source)) => {
                return Err(self.hindered(StoreError::io("write", self.log.path())(source)));
            }
            Err(AppendError::Unknown(source)) => {
                return Err(self.refuse_writes(StoreError::io("sync", self.log.path())(source)));
            }
        }
        bytes.clear();
        Ok(())
    }

    /// The one edit, and what follows from it in memory.
    fn count(&mut self, incoming: Incoming, written: Uncommitted, stay: &[Arc<Segment>]) -> Result<Origin, StoreError> {
        let Incoming { set, life, hlc, next_seq, state, datasets, since, places } = incoming;
        let is_replaced = |entry: &SegmentEntry| {
            datasets.iter().any(|dataset| dataset.as_str() == entry.dataset)
                && !stay.iter().any(|segment| segment.id == entry.id)
        };
        let replaced: Vec<u64> =
            self.state.segments.values().filter(|entry| is_replaced(entry)).map(|entry| entry.id).collect();
        let cold = self.state.segments.values().filter(|entry| is_replaced(entry) && entry.cold);
        self.sequencer.observe(hlc);
        let mut edit = self.edit();
        edit.epoch = Some(life.epoch);
        edit.version = edit.version.max(self.reader.snapshot().version) + 1;
        edit.next_seq = edit.next_seq.max(next_seq);
        edit.doom = cold.map(SegmentEntry::object).collect();
        edit.remove = replaced;
        edit.add = written.segments().iter().map(|segment| segment.entry.clone()).collect();
        edit.forget = self.datasets_of(&set).iter().map(ToString::to_string).collect();
        let none = BTreeSet::new();
        edit.rules = self.rules(datasets.iter().map(|dataset| (dataset, &none)))?;
        edit.logs.insert(set.to_string(), Note::of(&state, since));
        let version = edit.version;
        if let Err(error) = self.append(edit) {
            if self.manifest.is_poisoned() {
                written.keep();
            }
            return Err(error);
        }
        self.sequencer.begin(life.epoch, next_seq);
        self.logs.replace(&set, state, since, places);
        for dataset in self.datasets_of(&set) {
            self.known.forget(&dataset);
            self.changed_at.insert(dataset, version);
        }
        self.show(&datasets, version, stay, written.keep())?;
        Ok(life)
    }

    /// Shows readers these segments in the place of all that the datasets had.
    fn show(
        &mut self,
        datasets: &BTreeSet<DatasetName>,
        version: u64,
        stay: &[Arc<Segment>],
        written: Vec<Arc<Segment>>,
    ) -> Result<(), StoreError> {
        let mut snapshot = Snapshot::clone(&self.reader.snapshot());
        for dataset in datasets {
            let old = snapshot.datasets.remove(dataset);
            let old = old.iter().flat_map(|partitions| partitions.values()).flat_map(|partition| &partition.segments);
            old.filter(|old| !stay.iter().any(|segment| segment.id == old.id)).for_each(|segment| segment.retire());
        }
        for segment in stay.iter().cloned().chain(written) {
            let Some(dataset) = manifest::dataset_of(&segment.entry) else { continue };
            let first_key = self.reader.catalog.entry(&dataset)?.primary_key().first().cloned();
            let key = segment.entry.partition.clone();
            snapshot.change(&dataset, &key, first_key.as_ref(), |partition| {
                partition.segments.push(segment);
                partition.segments.sort_by_key(|segment| segment.id);
                Ok(())
            })?;
        }
        snapshot.version = version;
        snapshot.applied = self.logs.applied();
        self.publish(snapshot);
        Ok(())
    }
}
