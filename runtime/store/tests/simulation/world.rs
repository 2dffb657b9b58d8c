//! A region on a simulated disk beside the model of what it has to hold, and everything that is checked of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domicile_store::{Disk, Done, Job, Prepared, Sizes, Snapshot, Store, StoreError, StoreParts};

use crate::batch::Request;
use crate::cloud::SimCloud;
use crate::disk::{Lies, SimDisk};
use crate::model::{Model, Rows, difference};
use crate::reader::{self, Cache, Found, ReadError, Stamp};
use crate::rng::Rng;
use crate::tables::{DAY_MS, FIRST_MS, Table, region, tables};

pub(crate) const DIR: &str = "/data/store";

/// How a run differs from one on honest ground.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup {
    pub(crate) lies: Lies,
    #[cfg(feature = "planted-bugs")]
    pub(crate) planted: Option<domicile_store::Planted>,
}

impl Setup {
    /// A disk that lies.
    pub(crate) fn lying(lies: Lies) -> Self {
        Self {
            lies,
            #[cfg(feature = "planted-bugs")]
            planted: None,
        }
    }
}

/// How often things happened, so that a simulation that no longer reaches them is noticed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) digest: u64,
}

impl Report {
    pub(crate) fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }
}

/// A batch that was prepared and waits to be committed.
pub(crate) struct Waiting {
    pub(crate) prepared: Prepared,
    pub(crate) request: Request,
    /// When it got its place among the versions, where it did so already: a large batch does when it is prepared.
    pub(crate) moment: Option<u64>,
}

/// A snapshot that somebody holds, and what it showed at first.
pub(crate) struct Held {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) rows: Vec<Rows>,
}

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) cloud: SimCloud,
    pub(crate) rng: Rng,
    #[cfg(feature = "planted-bugs")]
    planted: Option<domicile_store::Planted>,
    pub(crate) tables: Vec<Table>,
    /// The datasets that this run writes to.
    pub(crate) used: Vec<usize>,
    pub(crate) model: Model,
    pub(crate) store: Option<Store>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) done: Vec<Done>,
    pub(crate) held: Vec<Held>,
    pub(crate) sizes: Sizes,
    /// Whether the store said that it takes no more writes.
    pub(crate) read_only: bool,
    pub(crate) now_ms: u64,
    /// The latest moment that was ever now.
    pub(crate) latest_ms: u64,
    pub(crate) version: u64,
    pub(crate) next_serial: u64,
    pub(crate) next_moment: u64,
    pub(crate) next_key: u64,
    cache: Cache,
    stamps: BTreeMap<u64, Stamp>,
    /// First and last stamp by moment.
    moments: BTreeMap<u64, (Stamp, Stamp)>,
    pub(crate) report: Report,
}

impl World {
    pub(crate) fn new(seed: u64, setup: Setup) -> Self {
        let mut rng = Rng::new(seed);
        let mut used: Vec<usize> = (0..tables().len()).collect();
        rng.shuffle(&mut used);
        used.truncate(2 + rng.index(4));
        if used.contains(&crate::tables::ORDERS) && !used.contains(&crate::tables::ACCOUNT) {
            used.push(crate::tables::ACCOUNT);
        }
        let sizes = sizes(&mut rng);
        let disk = SimDisk::new(rng.next(), setup.lies);
        let now_ms = FIRST_MS + rng.below(DAY_MS);
        Self {
            cloud: SimCloud::new(rng.next(), &disk),
            disk,
            #[cfg(feature = "planted-bugs")]
            planted: setup.planted,
            tables: tables(),
            used,
            model: Model::new(tables()),
            store: None,
            waiting: Vec::new(),
            jobs: Vec::new(),
            done: Vec::new(),
            held: Vec::new(),
            sizes,
            read_only: false,
            now_ms,
            latest_ms: now_ms,
            version: 0,
            next_serial: 0,
            next_moment: 0,
            next_key: 0,
            cache: Cache::new(),
            stamps: BTreeMap::new(),
            moments: BTreeMap::new(),
            report: Report::default(),
            rng,
        }
    }

    pub(crate) fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    pub(crate) fn open_store(&self) -> Result<Store, StoreError> {
        Store::open(StoreParts {
            disk: Arc::new(self.disk.process()) as Arc<dyn Disk>,
            dir: PathBuf::from(DIR),
            region: region(),
            specs: self.tables.iter().map(|table| table.spec.clone()).collect(),
            noting: BTreeMap::new(),
            sets: BTreeMap::new(),
            cold: Some(Arc::new(self.cloud.process())),
            sizes: self.sizes.clone(),
            #[cfg(feature = "planted-bugs")]
            planted: self.planted,
        })
    }

    /// The latest day that the store has known.
    pub(crate) fn day(&self) -> i32 {
        (self.latest_ms / DAY_MS) as i32
    }

    /// How many operations failed so far, of the disk and of cold storage.
    pub(crate) fn failures(&self) -> u64 {
        self.disk.failures() + self.cloud.failures()
    }

    /// Forgets everything that a process has in memory.
    pub(crate) fn close(&mut self) {
        self.waiting.clear();
        self.jobs.clear();
        self.done.clear();
        self.held.clear();
        self.cache.clear();
        self.store = None;
    }

    /// Every dataset as the newest snapshot has it; none where the disk got in the way.
    pub(crate) fn read_all(&mut self) -> Result<Option<Vec<Found>>, String> {
        let failures = self.failures();
        self.read_since(failures)
    }

    /// Like `read_all`, where the disk may have got in the way since it had failed so often.
    fn read_since(&mut self, failures: u64) -> Result<Option<Vec<Found>>, String> {
        let snapshot = self.store().reader().snapshot();
        if snapshot.version < self.version {
            return Err(format!("the version went back from {} to {}", self.version, snapshot.version));
        }
        let mut all = Vec::new();
        for table in &self.tables {
            match reader::read_with(&snapshot, table, &mut self.cache) {
                Ok(found) => all.push(found),
                Err(ReadError::Wrong(text)) => return Err(text),
                Err(ReadError::Refused(_)) if self.failures() > failures => return Ok(None),
                Err(ReadError::Refused(error)) => return Err(format!("{} is refused: {error}", table.name())),
            }
        }
        self.version = snapshot.version;
        Ok(Some(all))
    }

    /// Compares everything that readers see with the model.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let Some(all) = self.read_all()? else { return Ok(()) };
        self.report.count("checks", 1);
        for (table, found) in all.iter().enumerate() {
            let expected = self.model.kept(table, &self.model.visible(table), self.day());
            let rows = self.model.kept(table, &found.rows, self.day());
            if rows != expected {
                return Err(format!("{}: {}", self.tables[table].name(), difference(&expected, &rows)));
            }
            self.check_versions(table, found)?;
        }
        Ok(())
    }

    /// After a start: settles what was unknown, and looks whether anything was left lying around.
    pub(crate) fn check_opened(&mut self, failures: u64) -> Result<bool, String> {
        let undisturbed = self.failures() == failures;
        let Some(all) = self.read_since(failures)? else { return Ok(false) };
        for (table, found) in all.iter().enumerate() {
            self.model.settle(table, &found.rows, self.day())?;
            self.check_versions(table, found)?;
        }
        let segments: usize = all.iter().map(|found| found.segments).sum();
        if undisturbed {
            self.check_files(segments)?;
        }
        Ok(true)
    }

    fn check_files(&self, segments: usize) -> Result<(), String> {
        let paths = self.disk.paths();
        let temporary = paths.iter().find(|path| path.extension().is_some_and(|end| end == "tmp"));
        if let Some(path) = temporary {
            return Err(format!("{} was not collected", path.display()));
        }
        let dir = Path::new(DIR).join("segments");
        let files = paths.iter().filter(|path| path.parent() == Some(&dir)).count();
        // The others are in cold storage.
        let objects = self.cloud.len();
        if files > segments || files + objects < segments {
            return Err(format!("{files} files and {objects} objects of {segments} segments"));
        }
        let manifests = paths.iter().filter(|path| path.to_string_lossy().contains("/MANIFEST-")).count();
        if manifests != 1 {
            return Err(format!("{manifests} manifests"));
        }
        Ok(())
    }

    fn check_versions(&mut self, table: usize, found: &Found) -> Result<(), String> {
        self.report.count("groups to be merged", found.merged_groups as u64);
        let table = &self.tables[table];
        for version in found.versions.iter().filter(|version| !version.deleted) {
            let (row, stamp) = (&version.row, &version.stamp);
            let serial = table.serial_of(row);
            let moment = self.model.moment_of(serial).ok_or_else(|| format!("{row:?} was never committed"))?;
            if self.model.is_absent(moment) {
                return Err(format!("{row:?} comes from a batch of which nothing else is there"));
            }
            if let Some(column) = table.entity
                && version.entity != row[column]
            {
                return Err(format!("{row:?} is about {:?}", version.entity));
            }
            match self.stamps.get(&serial) {
                Some(known) if known == stamp => continue,
                Some(known) => return Err(format!("{row:?} was {known:?} and is {stamp:?}")),
                None => self.stamps.insert(serial, stamp.clone()),
            };
            check_order(&mut self.moments, moment, stamp)?;
        }
        Ok(())
    }
}

/// Refuses stamps that are not in the order of moments.
fn check_order(moments: &mut BTreeMap<u64, (Stamp, Stamp)>, moment: u64, stamp: &Stamp) -> Result<(), String> {
    let seen = moments.entry(moment).or_insert_with(|| (stamp.clone(), stamp.clone()));
    seen.0 = seen.0.clone().min(stamp.clone());
    seen.1 = seen.1.clone().max(stamp.clone());
    let before = moments.range(..moment).next_back().map(|(_, (_, last))| last);
    let behind = moments.range(moment + 1..).next().map(|(_, (first, _))| first);
    if before.is_some_and(|before| before >= stamp) || behind.is_some_and(|behind| behind <= stamp) {
        return Err(format!("{stamp:?} is not between {before:?} and {behind:?}"));
    }
    Ok(())
}

/// Small enough that everything that happens to large stores happens here.
fn sizes(rng: &mut Rng) -> Sizes {
    Sizes {
        recent_bytes_max: *rng.pick(&[500, 2_000, 8_000]),
        batch_bytes_max: *rng.pick(&[600, 1_500, 1 << 20]),
        chunk_bytes_max: 1 << 20,
        chunk_rows_max: *rng.pick(&[5, 20, 1_000]),
        log_file_bytes: *rng.pick(&[5_000, 8_000, 64_000]),
        manifest_bytes: *rng.pick(&[500, 3_000, 20_000]),
        segment_rows_max: *rng.pick(&[4, 16, 1_000]),
        segment_bytes_max: *rng.pick(&[500, 5_000, 1 << 30]),
        partitions_max: Sizes::default().partitions_max,
        compaction_fan_in: *rng.pick(&[2, 3, 4]),
        small_run_bytes: *rng.pick(&[1, 3_000, 256 * 1024]),
    }
}
