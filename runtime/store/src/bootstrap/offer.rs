//! The region that gives: what it has of a set at one version, pinned and put into files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use domicile_types::{DatasetName, Digest, Hlc, Origin, SetName, limits};

use super::kept::Kept;
use super::list::{Content, File};
use super::related::{self, Target};
use super::{OfferList, RowsAbout};
use crate::catalog::Catalog;
use crate::disk::{self, Disk, Lease};
use crate::hash::Hashing;
use crate::logs::{Located, Note, Place};
use crate::segment::SegmentEntry;
use crate::version::Sequencer;
use crate::{Segment, Snapshot, Store, StoreError};

/// Directory of what is written for offers.
pub(crate) const DIR: &str = "offers";

/// Entries that are read at a time.
const ENTRIES_AT_A_TIME: usize = 64;

/// A snapshot to be put into files. It holds what it needs and may run on any thread.
pub struct OfferJob {
    set: SetName,
    life: Origin,
    datasets: BTreeSet<DatasetName>,
    about: Vec<RowsAbout>,
    snapshot: Arc<Snapshot>,
    catalog: Arc<Catalog>,
    sequencer: Arc<Sequencer>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    wal_dir: PathBuf,
    note: Note,
    hlc: Hlc,
    next_seq: u64,
    places: Vec<Place>,
    lease: Lease,
}

/// A snapshot of a set that others can fetch, as long as this lives.
pub struct Offer {
    list: OfferList,
    text: Bytes,
    segments: BTreeMap<Digest, Arc<Segment>>,
    entries: Plain,
    _lease: Lease,
}

/// A file that goes with its offer.
struct Plain {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Drop for Plain {
    fn drop(&mut self) {
        disk::discard(self.disk.as_ref(), &self.path);
    }
}

impl std::fmt::Debug for OfferJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfferJob").field("set", &self.set).field("life", &self.life).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("set", &self.list.set).field("life", &self.list.life).finish_non_exhaustive()
    }
}

impl Store {
    /// Pins what this store has of a set now, for a region that is to write the log `life`. `about` are datasets with
    /// rows about those of the set.
    pub fn offer(&self, set: &SetName, life: Origin, about: Vec<RowsAbout>) -> OfferJob {
        let state = self.logs.state(set);
        OfferJob {
            set: set.clone(),
            life,
            datasets: self.datasets_of(set),
            about,
            snapshot: self.reader.snapshot(),
            catalog: Arc::clone(&self.reader.catalog),
            sequencer: Arc::clone(&self.sequencer),
            disk: Arc::clone(&self.parts.disk),
            dir: self.parts.dir.join(DIR),
            wal_dir: self.parts.wal_dir(),
            note: Note::of(state, 0),
            hlc: self.sequencer.hlc(),
            next_seq: self.sequencer.next_seq(),
            // What is stable, every region has that may still write something.
            places: self.kept_entries(set),
            lease: self.lease.clone(),
        }
    }

    /// The datasets of a set.
    pub(crate) fn datasets_of(&self, set: &SetName) -> BTreeSet<DatasetName> {
        self.parts.sets.iter().filter(|(_, of)| *of == set).map(|(dataset, _)| dataset.clone()).collect()
    }
}

impl OfferJob {
    /// Writes what is not in a file yet: recent rows, rows about the set, and entries.
    ///
    /// # Errors
    /// Where rows or entries cannot be read, or the disk fails.
    pub fn run(self) -> Result<Offer, StoreError> {
        self.disk.create_dir(&self.dir).map_err(StoreError::io("create", &self.dir))?;
        let target = Target { disk: &self.disk, dir: &self.dir, sequencer: &self.sequencer };
        let mut segments = Vec::new();
        let own = |segment: Segment| {
            segment.retire();
            Arc::new(segment)
        };
        for dataset in &self.datasets {
            let entry = self.catalog.entry(dataset)?;
            for partition in self.snapshot.partitions(dataset)? {
                segments.extend(partition.segments.iter().cloned());
                if !partition.recent.is_empty() {
                    segments.push(own(target.write(entry, &partition.key, &partition.recent)?));
                }
            }
        }
        for about in &self.about {
            let (entry, is_wanted) = (self.catalog.entry(&about.dataset)?, related::names(&self.datasets));
            let (whole, written) = related::segments(&self.snapshot, entry, about, &is_wanted, &target)?;
            segments.extend(whole.into_iter().chain(written.into_iter().map(own)));
        }
        let (entries, file) = self.write_entries()?;
        let shapes = self.datasets.iter().chain(self.about.iter().map(|about| &about.dataset));
        let shape = |dataset: &DatasetName| Ok((dataset.to_string(), self.catalog.entry(dataset)?.shape));
        let content = Content {
            format: OfferList::FORMAT,
            set: self.set.to_string(),
            region: self.life.region.to_string(),
            epoch: self.life.epoch,
            hlc: self.hlc.0,
            next_seq: self.next_seq,
            shapes: shapes.map(shape).collect::<Result<_, StoreError>>()?,
            note: self.note,
            segments: segments.iter().map(|segment| SegmentEntry { cold: false, ..segment.entry.clone() }).collect(),
            entries: file,
        };
        let list = OfferList { set: self.set, life: self.life, content };
        let text = list.encode()?;
        let segments = segments.into_iter().map(|segment| (segment.digest, segment)).collect();
        Ok(Offer { list, text, segments, entries, _lease: self.lease })
    }

    fn write_entries(&self) -> Result<(Plain, File), StoreError> {
        let path = self.dir.join(format!("{:010}.entries", self.sequencer.segment_id()));
        let file = self.disk.create(&path).map_err(StoreError::io("create", &path))?;
        let plain = Plain { disk: Arc::clone(&self.disk), path };
        let (mut hashing, mut bytes) = (Hashing::default(), 0);
        for places in self.places.chunks(ENTRIES_AT_A_TIME) {
            let located = Located::of(&self.disk, &self.wal_dir, places.to_vec());
            let mut text = Vec::new();
            for (entry, place) in located.read()?.into_iter().zip(places) {
                let rows = u32::try_from(place.rows).unwrap_or(u32::MAX);
                Kept { entry, local_hlc: place.local_hlc, first_seq: place.first_seq, rows }.encode(&mut text)?;
            }
            file.write_at(bytes, &text).map_err(StoreError::io("write", &plain.path))?;
            hashing.update(&text);
            bytes += text.len() as u64;
        }
        Ok((plain, File { sha256: hashing.finish(), bytes }))
    }
}

impl Offer {
    /// The list of files, for [`OfferList::decode`].
    #[must_use]
    pub fn list(&self) -> &Bytes {
        &self.text
    }

    /// The log that the region which installs it will write.
    #[must_use]
    pub fn life(&self) -> &Origin {
        &self.list.life
    }

    /// At most [`limits::PART_BYTES_MAX`] bytes of a file from `offset` on; none where it has no such file, or that is
    /// behind its end.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not what was written.
    pub fn part(&self, file: &Digest, offset: u64) -> Result<Option<Bytes>, StoreError> {
        let end = |bytes: u64| bytes.min(offset.saturating_add(limits::PART_BYTES_MAX));
        let entries = &self.list.content.entries;
        match self.segments.get(file) {
            Some(segment) if offset < segment.bytes => segment.read(offset..end(segment.bytes)).map(Some),
            None if *file == entries.sha256 && offset < entries.bytes => {
                let path = &self.entries.path;
                let opened = self.entries.disk.open(path).map_err(StoreError::io("open", path))?;
                let length = usize::try_from(end(entries.bytes) - offset).unwrap_or(usize::MAX);
                opened.read_at(offset, length).map(Some).map_err(StoreError::io("read", path))
            }
            _ => Ok(None),
        }
    }
}
