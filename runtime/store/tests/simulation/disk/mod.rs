//! A disk in memory on which everything goes wrong that can, by seed and by schedule.
//!
//! What a crash leaves: content that was synced under names whose directory was synced. Everything else survives, is
//! lost or is torn, sector by sector and in any order.

mod content;
mod damage;
mod faults;
mod names;
mod operations;
mod tests;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use domicile_store::{Disk, DiskFile, ReadAt};

use crate::rng::Rng;
use content::Content;
pub(crate) use damage::Damage;
pub(crate) use faults::Fault;
use faults::{Faults, Kind, Trace};
use names::Names;

/// What the disk only pretends to do: bugs to be caught.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lies {
    /// Syncing a file does nothing.
    pub(crate) sync: bool,
    /// Syncing a directory does nothing.
    pub(crate) sync_dir: bool,
}

/// The disk, as a machine has it, or as a process sees it for as long as it lives.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
    /// The start that this belongs to; none where it is the machine's.
    boot: Option<u64>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    lies: Lies,
    names: Names,
    files: BTreeMap<u64, Content>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    faults: Faults,
    trace: Trace,
    /// Counts starts of the machine; handles of earlier ones are dead.
    boot: u64,
    stopped: bool,
    next_file: u64,
    capacity: Option<u64>,
    /// Operations that found no room, or a machine that had stopped.
    refused: u64,
}

impl SimDisk {
    pub(crate) fn new(seed: u64, lies: Lies) -> Self {
        let state = State {
            rng: Rng::new(seed),
            lies,
            names: Names::default(),
            files: BTreeMap::new(),
            dirs: BTreeSet::new(),
            locks: BTreeSet::new(),
            faults: Faults::default(),
            trace: Trace::new(std::env::var_os("DOMICILE_SIM_TRACE").is_some()),
            boot: 0,
            stopped: false,
            next_file: 0,
            capacity: None,
            refused: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), boot: None }
    }

    /// The disk for a process that starts now. Once that has ended, nothing that is left of it reaches the disk.
    pub(crate) fn process(&self) -> Self {
        Self { state: Arc::clone(&self.state), boot: Some(self.state().boot) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The disk, as long as the process lives.
    fn alive(&self, boot: Option<u64>) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if boot.is_none_or(|boot| boot == state.boot) {
            return Ok(state);
        }
        state.refused += 1;
        Err(faults::error(Fault::Crash))
    }

    /// Whether the process has not ended, nor the machine stopped.
    pub(crate) fn is_alive(&self) -> bool {
        let state = self.state();
        !state.stopped && self.boot.is_none_or(|boot| boot == state.boot)
    }

    /// Loses the power and starts again: what was not synced is at the mercy of chance.
    pub(crate) fn crash(&self) {
        self.state().crash();
    }

    /// Ends the process and starts another one: the operating system forgets nothing but locks and handles.
    pub(crate) fn kill(&self) {
        self.state().restart();
    }

    /// Lets something go wrong with the operation that comes after so many others.
    pub(crate) fn schedule(&self, after: u64, fault: Fault) {
        self.state().faults.schedule(after, fault);
    }

    /// From here on nothing goes wrong, except for want of room.
    pub(crate) fn heal(&self) {
        self.state().faults.clear();
    }

    /// Bytes that fit on the disk.
    pub(crate) fn set_capacity(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    /// Whether the machine has stopped at a scheduled crash.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// How many operations failed or found no room so far.
    pub(crate) fn failures(&self) -> u64 {
        let state = self.state();
        state.faults.fired() + state.refused
    }

    /// How many operations were asked for so far.
    pub(crate) fn operations(&self) -> u64 {
        self.state().faults.operations()
    }

    /// Equal for two runs that did the same.
    pub(crate) fn digest(&self) -> u64 {
        self.state().trace.digest()
    }

    pub(crate) fn used(&self) -> u64 {
        self.state().used()
    }

    /// All files as programs see them.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(path, file)| (path.clone(), state.files[&file].visible().to_vec())).collect()
    }

    /// The names of all files as programs see them.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.state().names.iter().map(|(path, _)| path.clone()).collect()
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: u64,
    boot: u64,
    path: PathBuf,
}

#[derive(Debug)]
struct Lock {
    disk: SimDisk,
    path: PathBuf,
    boot: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

impl SimDisk {
    fn file(&self, path: &Path, file: u64) -> Arc<dyn DiskFile> {
        let boot = self.state().boot;
        Arc::new(SimFile { disk: self.clone(), file, boot, path: path.to_owned() })
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.alive(self.boot)?.create(path)?;
        Ok(self.file(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.alive(self.boot)?.open(path)?;
        Ok(self.file(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.alive(self.boot)?.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.alive(self.boot)?.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.alive(self.boot)?.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.alive(self.boot)?.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.alive(self.boot)?.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let boot = self.alive(self.boot)?.lock(path)?;
        Ok(Box::new(Lock { disk: self.clone(), path: path.to_owned(), boot }))
    }
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        self.disk.alive(Some(self.boot))
    }
}

impl ReadAt for SimFile {
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.state()?.read(&self.path, self.file, offset, length)
    }

    fn size(&self) -> io::Result<u64> {
        self.state()?.size(&self.path, self.file)
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state()?.write(&self.path, self.file, offset, bytes)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.state()?.resize(Kind::SetSize, &self.path, self.file, size)
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        self.state()?.resize(Kind::Reserve, &self.path, self.file, size)
    }

    fn sync(&self) -> io::Result<()> {
        self.state()?.sync(&self.path, self.file)
    }
}
