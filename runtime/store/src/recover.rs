//! Opening a store: the manifest's state, the segments, and what the write-ahead log holds beyond them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use domicile_types::{DatasetName, Hlc, SetName};

use crate::catalog::{Catalog, Entry};
use crate::chunk;
use crate::disk::{self, Lease};
use crate::draft::add_recent;
use crate::known::Known;
use crate::logs::{self, Logs};
use crate::manifest::{self, Remembered, State};
use crate::segment::{self, Place, Segment, SegmentEntry};
use crate::store::{LOCK, Unflushed};
use crate::synced::{Reach, Synced};
use crate::version::{Sequencer, Stamp};
use crate::wal::record::Place as RecordPlace;
use crate::wal::{self, Damage, Description, FileHeader, LogFile, Record, Replay, Replayed, Use};
use crate::{Health, LogProblem, ManifestProblem, Snapshot, SpecProblem, Store, StoreError, StoreParts, StoreReader};

pub(crate) fn open(parts: StoreParts) -> Result<Store, StoreError> {
    let mut noting = parts.noting.clone();
    noting.retain(|dataset, _| parts.sets.contains_key(dataset));
    let catalog = Catalog::new(parts.specs.clone(), &noting)?;
    for dir in [parts.dir.clone(), parts.segments_dir(), parts.wal_dir()] {
        parts.disk.create_dir(&dir).map_err(StoreError::io("create", &dir))?;
    }
    let lease = lock(&parts)?;
    // Names that another process gave and could not make durable must not vanish once something depends on them.
    for dir in [parts.dir.clone(), parts.segments_dir(), parts.wal_dir()] {
        parts.disk.sync_dir(&dir).map_err(StoreError::io("sync", &dir))?;
    }
    let synced = Synced::open(parts.disk.as_ref(), &parts.dir)?;
    let (manifest, state) = manifest(&parts, synced.manifest)?;
    let manifest = manifest.with_rewrite_bytes(parts.sizes.manifest_bytes);
    check(&parts, &manifest, &state, &catalog)?;
    let mut recovery = Recovery::new(&parts, &catalog, &state, synced.log)?;
    recovery.segments()?;
    logs::retained(&parts, &state, &mut recovery.logs)?;
    let files = recovery.replay()?;
    let log = recovery.log(files)?;
    let Recovery { mut snapshot, active, known, damage, hlc, next_seq, logs, .. } = recovery;
    snapshot.applied = logs.applied();
    logs.check_shared(&parts, &snapshot)?;
    let sequencer = Sequencer::new(parts.region.clone(), state.epoch, hlc, next_seq, state.next_segment);
    let health = health(&damage);
    collect_orphans(&parts, &manifest, &state, &logs)?;
    crate::bootstrap::clear(&parts)?;
    let (current, health) = (Arc::new(ArcSwap::from_pointee(snapshot)), Arc::new(ArcSwap::from_pointee(health)));
    let reader = StoreReader { catalog: Arc::new(catalog), current, health };
    Ok(Store {
        manifest,
        state,
        log,
        synced,
        active,
        frozen: None,
        known,
        logs,
        changed_at: std::collections::BTreeMap::new(),
        reader,
        sequencer: Arc::new(sequencer),
        jobs: crate::jobs::Schedule::default(),
        parts,
        large: Arc::default(),
        lease,
    })
}

fn lock(parts: &StoreParts) -> Result<Lease, StoreError> {
    let path = parts.dir.join(LOCK);
    parts.disk.lock(&path).map(Lease::new).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => StoreError::Locked { path: parts.dir.clone() },
        _ => StoreError::Io { action: "lock", path, source },
    })
}

/// The manifest, or a new one for a directory without anything in it. Segments or logs without a manifest are
/// somebody's data, not an empty store.
fn manifest(parts: &StoreParts, synced: Reach) -> Result<(manifest::Log, State), StoreError> {
    if let Some(found) = manifest::Log::open(&parts.disk, &parts.dir, synced)? {
        return Ok(found);
    }
    let data =
        |path: &PathBuf| path.extension().is_some_and(|kind| kind == segment::EXTENSION || kind == wal::EXTENSION);
    let dirs = [parts.segments_dir(), parts.wal_dir()];
    if dirs.iter().try_fold(false, |found, dir| Ok::<_, StoreError>(found || list(parts, dir)?.iter().any(data)))? {
        let path = parts.dir.join(manifest::CURRENT);
        return Err(StoreError::Manifest { path, problem: ManifestProblem::Missing });
    }
    let state = State::new(&parts.region);
    Ok((manifest::Log::create(&parts.disk, &parts.dir, 1, &state)?, state))
}

/// Checks that the store is this region's, and that its rows are where and as the present files want them.
fn check(parts: &StoreParts, log: &manifest::Log, state: &State, catalog: &Catalog) -> Result<(), StoreError> {
    let refuse = |problem| StoreError::Manifest { path: log.path().to_owned(), problem };
    manifest::check_region(state, &parts.region).map_err(refuse)?;
    let entry = |name: &String| {
        let entry = name.parse().ok().and_then(|name: DatasetName| catalog.entry(&name).ok());
        entry.ok_or_else(|| refuse(ManifestProblem::Dataset { dataset: name.clone() }))
    };
    let moves = |(dataset, set): (&DatasetName, &SetName)| {
        let problem = SpecProblem::ReplicatedMoves { set: set.clone() };
        let moves = catalog.entry(dataset)?.spec.dataset.rows_may_move();
        if moves { Err(StoreError::Spec { dataset: dataset.clone(), problem }) } else { Ok(()) }
    };
    parts.sets.iter().try_for_each(moves)?;
    for segment in state.segments.values() {
        let entry = entry(&segment.dataset)?;
        if !entry.fits(segment.shape) {
            return Err(StoreError::Redescribed { dataset: entry.spec.dataset.name.clone() });
        }
    }
    let stored: BTreeSet<&String> = state.segments.values().map(|segment| &segment.dataset).collect();
    for (name, rule) in state.rules.iter().filter(|(name, _)| stored.contains(name)) {
        rule.check(entry(name)?, &parts.region)?;
    }
    Ok(())
}

/// What is gathered while a store opens.
struct Recovery<'a> {
    parts: &'a StoreParts,
    catalog: &'a Catalog,
    state: &'a State,
    /// How far the log is known to have been durable.
    synced: Reach,
    snapshot: Snapshot,
    active: Unflushed,
    known: Known,
    logs: Logs,
    entries: logs::Finder,
    damage: Vec<Damage>,
    hlc: Hlc,
    next_seq: u64,
    /// Number of a log file that is not there.
    next_log: u64,
}

impl<'a> Recovery<'a> {
    fn new(parts: &'a StoreParts, catalog: &'a Catalog, state: &'a State, synced: Reach) -> Result<Self, StoreError> {
        let mut known = Known::default();
        state.remembered.iter().for_each(|batch| known.insert(batch.clone()));
        let format =
            || StoreError::Manifest { path: parts.dir.join(manifest::CURRENT), problem: ManifestProblem::Format };
        let logs = Logs::new(&state.logs).ok_or_else(format)?;
        Ok(Self {
            parts,
            catalog,
            state,
            synced,
            snapshot: Snapshot { version: state.version, ..Snapshot::default() },
            active: Unflushed::default(),
            known,
            logs,
            entries: logs::Finder::default(),
            damage: Vec::new(),
            hlc: state.hlc,
            next_seq: state.next_seq,
            next_log: state.replay_from,
        })
    }

    /// Adds the segments. One that is missing or has another size makes its dataset unreadable.
    fn segments(&mut self) -> Result<(), StoreError> {
        let dir = self.parts.segments_dir();
        for entry in self.state.segments.values() {
            let segment = Arc::new(Segment::new(entry.clone(), place(self.parts, &dir, entry)?));
            let dataset = self.entry(&entry.dataset)?;
            let name = dataset.spec.dataset.name.clone();
            if let Err(error) = segment.check() {
                tracing::error!(%error, dataset = %name, "a segment cannot be used");
                self.snapshot.damage.entry(name.clone()).or_insert_with(|| Arc::new(error));
            }
            let first_key = dataset.primary_key().first();
            self.snapshot.change(&name, &entry.partition, first_key, |partition| {
                partition.segments.push(segment);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn entry(&self, dataset: &str) -> Result<&'a Entry, StoreError> {
        let unknown = || ManifestProblem::Dataset { dataset: dataset.to_owned() };
        let entry = dataset.parse().ok().and_then(|name: DatasetName| self.catalog.entry(&name).ok());
        entry.ok_or_else(|| StoreError::Manifest { path: self.parts.dir.join(manifest::CURRENT), problem: unknown() })
    }

    /// Reads the log files that are not in segments, and gives them in order.
    fn replay(&mut self) -> Result<Vec<Replay>, StoreError> {
        let dir = self.parts.wal_dir();
        let files = list(self.parts, &dir)?;
        let mut numbers: Vec<u64> = files.iter().filter_map(|file| wal::number_of(file)).collect();
        numbers.retain(|number| *number >= self.state.replay_from);
        numbers.sort_unstable();
        let mut replays: Vec<Replay> = Vec::new();
        for (index, number) in numbers.iter().enumerate() {
            let path = wal::path(&dir, *number);
            if index > 0 && *number != numbers[index - 1] + 1 {
                self.lost(&wal::path(&dir, *number - 1), 0, LogProblem::Missing);
            }
            let disk = Arc::clone(&self.parts.disk);
            let next = numbers.get(index + 1).map(|next| wal::end_before(disk.as_ref(), &wal::path(&dir, *next)));
            let durable = wal::Durable { end: next.transpose()?.flatten(), synced: self.synced.of(*number) };
            let last = index + 1 == numbers.len();
            let (region, reserve) = (self.parts.region.clone(), self.parts.sizes.log_file_bytes);
            match wal::replay(disk.as_ref(), &path, &region, reserve, durable, |record| self.record(*number, &record))?
            {
                Replayed::Read(mut replay) => {
                    self.damage.append(&mut replay.damage);
                    let end = replays.last().map(|before| (before.file.path().to_owned(), before.file.offset));
                    match end {
                        // It was left by an attempt that failed; the file before was written on.
                        Some((_, end)) if last && !replay.is_used() && end > replay.header.before_end => {
                            disk::discard(disk.as_ref(), &path);
                            continue;
                        }
                        Some((before, end)) if end != replay.header.before_end => {
                            self.lost(&before, end, LogProblem::Damaged);
                        }
                        _ => {}
                    }
                    replays.push(replay);
                }
                Replayed::Unfinished if last && !self.has_to_be(*number) => disk::discard(disk.as_ref(), &path),
                Replayed::Unfinished => self.lost(&path, 0, LogProblem::Header),
                Replayed::Damaged(error) => self.damage.push(Damage { dataset: None, error }),
            }
        }
        for number in [self.state.replay_from, self.synced.number] {
            if self.has_to_be(number) && !numbers.contains(&number) {
                self.lost(&wal::path(&dir, number), 0, LogProblem::Missing);
                break;
            }
        }
        self.next_log = numbers.last().map_or(self.state.replay_from, |last| *last) + 1;
        Ok(replays)
    }

    /// Whether the log file of this number was durable: a record in it was, or the manifest came to name it, as it does
    /// with any but the first of a store.
    fn has_to_be(&self, number: u64) -> bool {
        let named = number == self.state.replay_from && number > State::FIRST_LOG;
        named || number >= self.state.replay_from && self.synced.of(number) > 0
    }

    fn lost(&mut self, path: &Path, offset: u64, problem: LogProblem) {
        let error = StoreError::Log { path: path.to_owned(), offset, problem };
        self.damage.push(Damage { dataset: None, error });
    }

    fn record(&mut self, file: u64, record: &Record) -> Result<(), StoreError> {
        let place = &record.place;
        self.active.batches += 1;
        self.snapshot.version = self.snapshot.version.max(place.version);
        self.hlc = self.hlc.max(place.hlc);
        let entry = self.entries.place(file, record);
        if place.used == Use::Kept {
            entry.into_iter().for_each(|entry| self.logs.found(entry, true));
            return Ok(());
        }
        if place.used == Use::Carried || (entry.is_none() && record.content.mark.is_some()) {
            return Ok(());
        }
        let Some((description, rows)) = record.content.body.decode() else {
            let error = wal::damaged(&wal::path(&self.parts.wal_dir(), file), record.offset, LogProblem::Damaged);
            self.damage.push(Damage { dataset: Some(record.dataset), error });
            return Ok(());
        };
        self.rows(place, &description, rows)?;
        if let Some(entry) = entry {
            self.hlc = self.hlc.max(entry.mark.hlc);
            self.logs.apply(entry);
        }
        let name = &self.entry(&description.dataset)?.spec.dataset.name;
        self.active.values.entry(name.clone()).or_default().extend(description.rule.into_values());
        if let Some(idempotency) = description.idempotency {
            let (dataset, version, bytes) = (description.dataset, place.version, record.bytes);
            let batch = Remembered { dataset, idempotency, rows: description.rows, bytes, version };
            self.known.insert(batch.clone());
            self.active.remember.push(batch);
        }
        Ok(())
    }

    /// Takes the rows of a record in.
    fn rows(&mut self, place: &RecordPlace, description: &Description, rows: RecordBatch) -> Result<(), StoreError> {
        let entry = self.entry(&description.dataset)?;
        let name = &entry.spec.dataset.name;
        let count = rows.num_rows() as u64;
        self.next_seq = self.next_seq.max(place.first_seq + count);
        if count == 0 {
            return Ok(());
        }
        let rows = entry.widened(rows, &wal::record::logged_schema(&entry.stored));
        let rows = rows.ok_or_else(|| StoreError::Redescribed { dataset: name.clone() })?;
        description.rule.check(entry, &self.parts.region)?;
        let (origin, epoch) = (self.parts.region.clone(), place.epoch);
        let stamp = Stamp { hlc: place.hlc, origin, epoch, first_seq: place.first_seq };
        let checked = chunk::divided_again(&entry.spec.dataset, rows)?;
        self.active.bytes += add_recent(&mut self.snapshot, entry, &checked, &stamp)?;
        Ok(())
    }

    /// The log file to write to: the last one, without its torn end, or a new one. Notes what cannot be read.
    fn log(&mut self, mut files: Vec<Replay>) -> Result<LogFile, StoreError> {
        for damage in &self.damage {
            let marked =
                |name: &DatasetName| damage.dataset.is_none_or(|mark| mark == wal::record::dataset_mark(name.as_str()));
            let Some(error) = damage.error.copy() else { continue };
            let error = Arc::new(error);
            for entry in self.catalog.entries().filter(|entry| marked(&entry.spec.dataset.name)) {
                self.snapshot.damage.entry(entry.spec.dataset.name.clone()).or_insert_with(|| Arc::clone(&error));
            }
        }
        if let Some(last) = files.pop() {
            if self.damage.is_empty() {
                if last.torn {
                    let (path, offset) = (last.file.path().display(), last.file.offset);
                    tracing::warn!(%path, offset, "cut a torn end off the log");
                }
                wal::mend(&last)?;
            }
            return Ok(last.file);
        }
        // A damaged file stays as it is, for whoever can still read something out of it.
        let number = if self.damage.is_empty() { self.state.replay_from } else { self.next_log };
        let header = FileHeader { number, before_end: 0, epoch: self.state.epoch, region: self.parts.region.clone() };
        LogFile::create(self.parts.disk.as_ref(), &self.parts.wal_dir(), &header, self.parts.sizes.log_file_bytes)
    }
}

fn health(damage: &[Damage]) -> Health {
    let damage: Vec<Arc<StoreError>> = damage.iter().filter_map(|damage| damage.error.copy()).map(Arc::new).collect();
    damage.iter().for_each(|error| tracing::error!(%error, "rows of the write-ahead log cannot be read"));
    Health { refused: damage.first().cloned(), hindered: None, damage }
}

fn place(parts: &StoreParts, dir: &Path, entry: &SegmentEntry) -> Result<Place, StoreError> {
    if !entry.cold {
        return Ok(Place::Disk { disk: Arc::clone(&parts.disk), path: dir.join(&entry.file) });
    }
    let name = entry.object();
    match &parts.cold {
        Some(objects) => Ok(Place::Object { objects: Arc::clone(objects), name }),
        None => Err(StoreError::NoColdStorage { object: name }),
    }
}

/// Removes the files that a crash left: those that the manifest does not name.
fn collect_orphans(parts: &StoreParts, log: &manifest::Log, state: &State, logs: &Logs) -> Result<(), StoreError> {
    let named: BTreeSet<&str> =
        state.segments.values().filter(|entry| !entry.cold).map(|entry| entry.file.as_str()).collect();
    let is_named =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| named.contains(name));
    let mut orphans: Vec<PathBuf> =
        list(parts, &parts.segments_dir())?.into_iter().filter(|path| !is_named(path)).collect();
    let first = logs.first_file().unwrap_or(state.replay_from).min(state.replay_from);
    let old_log = |path: &PathBuf| wal::number_of(path).is_some_and(|number| number < first);
    orphans.extend(list(parts, &parts.wal_dir())?.into_iter().filter(old_log));
    let unfinished = |path: &PathBuf| path.extension().is_some_and(|kind| kind == disk::TEMPORARY);
    let other = |path: &PathBuf| manifest::is_manifest(path) && path != log.path() || unfinished(path);
    orphans.extend(list(parts, &parts.dir)?.into_iter().filter(other));
    for orphan in orphans {
        disk::discard(parts.disk.as_ref(), &orphan);
        tracing::info!(path = %orphan.display(), "removed a file that nothing refers to");
    }
    Ok(())
}

fn list(parts: &StoreParts, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    parts.disk.list(dir).map_err(StoreError::io("list", dir))
}
