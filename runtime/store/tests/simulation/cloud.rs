//! Cold storage in memory that now and then cannot be reached, or answers too late.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use domicile_store::{Objects, ReadAt};

use crate::disk::SimDisk;
use crate::rng::Rng;

#[derive(Debug, Clone)]
pub(crate) struct SimCloud {
    state: Arc<Mutex<State>>,
    /// The process that asks: one that has ended does nothing more.
    disk: SimDisk,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    objects: BTreeMap<String, Bytes>,
    failing_percent: u64,
    failures: u64,
    uses: u64,
}

impl SimCloud {
    pub(crate) fn new(seed: u64, disk: &SimDisk) -> Self {
        let (objects, rng) = (BTreeMap::new(), Rng::new(seed));
        let state = State { rng, objects, failing_percent: 0, failures: 0, uses: 0 };
        Self { state: Arc::new(Mutex::new(state)), disk: disk.clone() }
    }

    /// Cold storage for a process that starts now.
    pub(crate) fn process(&self) -> Self {
        Self { state: Arc::clone(&self.state), disk: self.disk.process() }
    }

    /// How many of a hundred calls fail from here on.
    pub(crate) fn set_failing(&self, percent: u64) {
        self.state().failing_percent = percent;
    }

    pub(crate) fn failures(&self) -> u64 {
        self.state().failures
    }

    /// How many calls succeeded.
    pub(crate) fn uses(&self) -> u64 {
        self.state().uses
    }

    pub(crate) fn len(&self) -> usize {
        self.state().objects.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Does something, unless it fails; where it changes anything, it may happen and fail all the same.
    fn call<T>(&self, changes: bool, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        let percent = if self.disk.is_alive() { state.failing_percent } else { 100 };
        if state.rng.chance(percent) {
            state.failures += 1;
            if changes && self.disk.is_alive() && state.rng.chance(50) {
                act(&mut state)?;
            }
            return Err(io::ErrorKind::TimedOut.into());
        }
        state.uses += 1;
        act(&mut state)
    }
}

fn find<'a>(state: &'a State, name: &str) -> io::Result<&'a Bytes> {
    state.objects.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Objects for SimCloud {
    fn put(&self, name: &str, source: &dyn ReadAt) -> io::Result<()> {
        let content = source.read_at(0, source.size()? as usize)?;
        self.call(true, |state| {
            state.objects.insert(name.to_owned(), content);
            Ok(())
        })
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Bytes> {
        self.call(false, |state| {
            let content = find(state, name)?;
            let end = offset as usize + length;
            if end > content.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(content.slice(offset as usize..end))
        })
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        self.call(false, |state| Ok(find(state, name)?.len() as u64))
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        self.call(false, |state| {
            let mut names: Vec<String> =
                state.objects.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
            state.rng.shuffle(&mut names);
            Ok(names)
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(true, |state| {
            state.objects.remove(name);
            Ok(())
        })
    }
}
