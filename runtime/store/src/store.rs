//! The store: opened by one owner, loaded into, and committed by replacing the manifest.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use domicile_types::{DatasetName, RegionId, limits};

use crate::catalog::{Catalog, Entry};
use crate::disk::{self, Disk};
use crate::load::{self, Target};
use crate::manifest::{self, Addition, Manifest};
use crate::{DatasetSpec, FileFormat, LocalDisk, ManifestProblem, Snapshot, StoreError, StoreReader, hash};

const LOCK: &str = "LOCK";
const SEGMENTS: &str = "segments";
const SEGMENT_EXTENSION: &str = "parquet";

/// The storage of one region, held by its only writer. The directory is locked as long as this lives.
pub struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    region: RegionId,
    manifest: Manifest,
    reader: StoreReader,
    /// Set once a commit failed so late that the manifest on disk may be the old or the new one.
    poisoned: bool,
    _lock: File,
}

/// What a load did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadReport {
    /// Rows loaded.
    pub rows: u64,
    /// Bytes of the segments written.
    pub bytes: u64,
    /// Version of the store from which on the rows are there.
    pub version: u64,
    /// Whether an earlier load of the same bytes did all this, and this one nothing.
    pub already_loaded: bool,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).field("version", &self.manifest.version).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `dir`, or makes an empty one there. Files that a crash left unfinished are removed.
    ///
    /// `specs` are all datasets of the region.
    ///
    /// # Errors
    /// Where another process has the directory open, the datasets do not hold together, the manifest or a segment is
    /// damaged or missing, the store is another region's, or stored rows have another home under the present rules.
    pub fn open(dir: &Path, region: RegionId, specs: Vec<DatasetSpec>) -> Result<Self, StoreError> {
        Self::open_with(Arc::new(LocalDisk), dir, region, specs)
    }

    /// [`Store::open`] on another disk than the local one.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(
        disk: Arc<dyn Disk>,
        dir: &Path,
        region: RegionId,
        specs: Vec<DatasetSpec>,
    ) -> Result<Self, StoreError> {
        let catalog = Catalog::new(specs)?;
        disk::create_dir(dir)?;
        let lock = lock(&dir.join(LOCK))?;
        let segments_dir = dir.join(SEGMENTS);
        disk::create_dir(&segments_dir)?;
        let path = dir.join(manifest::FILE);
        let manifest = match Manifest::read(&path)? {
            Some(manifest) => manifest,
            None => create_manifest(disk.as_ref(), &path, &segments_dir, &region)?,
        };
        manifest.check(&path, &region, &catalog)?;
        let snapshot = restore(&manifest, &segments_dir, &catalog)?;
        collect_orphans(disk.as_ref(), &path, &segments_dir, &snapshot, &catalog)?;
        let reader = StoreReader { catalog: Arc::new(catalog), current: Arc::new(ArcSwap::from_pointee(snapshot)) };
        Ok(Self { disk, dir: dir.to_owned(), region, manifest, reader, poisoned: false, _lock: lock })
    }

    /// A reader of this store, usable from any thread and as long as wanted.
    pub fn reader(&self) -> StoreReader {
        self.reader.clone()
    }

    /// Loads a file into a dataset: all of its rows, durably, or none.
    ///
    /// # Errors
    /// Where the file cannot be read as `format`, its columns are not the dataset's, a row is refused, or the disk
    /// fails. Nothing was loaded then. Only where the very last step of the commit fails is that open until the store
    /// is opened again; until then readers see the old state, and every load is refused as [`StoreError::Poisoned`].
    pub fn load(&mut self, dataset: &DatasetName, source: &Path, format: FileFormat) -> Result<LoadReport, StoreError> {
        let path = self.dir.join(manifest::FILE);
        if self.poisoned {
            return Err(StoreError::Poisoned { path });
        }
        let catalog = Arc::clone(&self.reader.catalog);
        let entry = catalog.entry(dataset)?;
        check_size(source)?;
        let digest = hash::of_file(source)?;
        if let Some(load) = self.manifest.load(dataset, &digest) {
            let (rows, bytes, version) = (load.rows, load.bytes, load.version);
            return Ok(LoadReport { rows, bytes, version, already_loaded: true });
        }
        let snapshot = self.reader.snapshot();
        let disk = Arc::clone(&self.disk);
        let segments_dir = self.dir.join(SEGMENTS);
        let target = Target {
            disk: disk.as_ref(),
            dir: &segments_dir,
            region: &self.region,
            catalog: &catalog,
            entry,
            snapshot: &snapshot,
        };
        let uncommitted = load::run(&target, source, format)?;
        let (segments, values) = (uncommitted.segments(), &uncommitted.values);
        let next = self.manifest.with(&Addition { entry, segments, values, source: digest });
        check_room(&next)?;
        let temporary = disk::write_temporary(disk.as_ref(), &path, &next.encode(&path)?)?;
        let segments = uncommitted.keep();
        self.poisoned = true;
        disk::publish(disk.as_ref(), &temporary, &path)?;
        self.poisoned = false;
        self.manifest = next;
        let (rows, bytes) = segments.iter().fold((0, 0), |sum, s| (sum.0 + s.rows, sum.1 + s.bytes));
        self.reader.current.store(Arc::new(snapshot.with(dataset, segments)));
        Ok(LoadReport { rows, bytes, version: self.manifest.version, already_loaded: false })
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file =
        File::options().create(true).truncate(false).write(true).open(path).map_err(StoreError::io("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: disk::parent(path).to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::io("lock", path)(source)),
    }
}

fn check_size(source: &Path) -> Result<(), StoreError> {
    let bytes = fs::metadata(source).map_err(StoreError::io("inspect", source))?.len();
    if bytes > limits::LOAD_BYTES_MAX {
        return Err(StoreError::TooLarge { unit: "bytes", actual: bytes, max: limits::LOAD_BYTES_MAX });
    }
    Ok(())
}

fn check_room(next: &Manifest) -> Result<(), StoreError> {
    if next.segments_len() > limits::SEGMENTS_MAX {
        return Err(StoreError::Full { unit: "segments", max: limits::SEGMENTS_MAX });
    }
    if next.loads_len() > limits::LOADS_MAX {
        return Err(StoreError::Full { unit: "loads", max: limits::LOADS_MAX });
    }
    Ok(())
}

/// The manifest of an empty store. Segments without a manifest are somebody's data, not an empty store.
fn create_manifest(
    disk: &dyn Disk,
    path: &Path,
    segments_dir: &Path,
    region: &RegionId,
) -> Result<Manifest, StoreError> {
    let is_segment = |file: &PathBuf| file.extension() == Some(OsStr::new(SEGMENT_EXTENSION));
    if files(segments_dir)?.iter().any(is_segment) {
        return Err(StoreError::Manifest { path: path.to_owned(), problem: ManifestProblem::Missing });
    }
    let manifest = Manifest::new(region);
    let temporary = disk::write_temporary(disk, path, &manifest.encode(path)?)?;
    disk::publish(disk, &temporary, path)?;
    Ok(manifest)
}

/// The snapshot that the manifest describes, every segment checked.
fn restore(manifest: &Manifest, segments_dir: &Path, catalog: &Catalog) -> Result<Snapshot, StoreError> {
    let dataset = |entry: &Entry| {
        let name = entry.spec.dataset.name.clone();
        let segments = manifest.segments(&name, segments_dir)?;
        segments.iter().try_for_each(|segment| segment.check(entry))?;
        Ok((name, segments.into_iter().map(Arc::new).collect()))
    };
    let datasets = catalog.entries().map(dataset).collect::<Result<_, StoreError>>()?;
    Ok(Snapshot::new(manifest.version, datasets))
}

/// Removes the files that a crash left: those that the manifest does not name.
fn collect_orphans(
    disk: &dyn Disk,
    manifest: &Path,
    segments_dir: &Path,
    snapshot: &Snapshot,
    catalog: &Catalog,
) -> Result<(), StoreError> {
    let names = catalog.entries().map(|entry| &entry.spec.dataset.name);
    let named: BTreeSet<&Path> =
        names.flat_map(|name| snapshot.segments(name)).map(|segment| segment.path.as_path()).collect();
    let mut orphans: Vec<PathBuf> =
        files(segments_dir)?.into_iter().filter(|file| !named.contains(file.as_path())).collect();
    let temporary = disk::temporary(manifest);
    if temporary.exists() {
        orphans.push(temporary);
    }
    for orphan in orphans {
        disk.remove(&orphan).map_err(StoreError::io("remove", &orphan))?;
        tracing::warn!(path = %orphan.display(), "removed a file that an unfinished load left");
    }
    Ok(())
}

/// The plain files in a directory.
fn files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError::Io { action: "list", path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}
