//! An object store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use domicile_store::{Objects, ReadAt};

#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryObjects(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    /// Objects that are there until the machine fails.
    loose: BTreeSet<String>,
    /// Operations until none succeeds any more.
    left: Option<u64>,
    /// What does not succeed for now: writing, or removing.
    full: bool,
    kept: bool,
    puts: usize,
}

impl MemoryObjects {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match state.left {
            Some(0) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(left) => state.left = Some(left - 1),
            None => {}
        }
        Ok(state)
    }

    /// Lets so many operations succeed, and no more; none to be well again.
    pub(crate) fn fail_after(&self, operations: Option<u64>) {
        self.state().left = operations;
    }

    /// Whether there is room for nothing more.
    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Whether nothing may be removed.
    pub(crate) fn set_kept(&self, kept: bool) {
        self.state().kept = kept;
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// How many objects were put so far.
    pub(crate) fn puts(&self) -> usize {
        self.state().puts
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.state().objects.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// As if whoever put these was cut off before they were durable.
    pub(crate) fn loosen(&self, prefix: &str) {
        let mut state = self.state();
        state.loose = state.objects.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    }

    /// Objects that are not durable are without content from here on.
    pub(crate) fn lose_power(&self) {
        let mut state = self.state();
        for name in std::mem::take(&mut state.loose) {
            state.objects.insert(name, Bytes::new());
        }
    }

    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let mut bytes = state.objects[name].to_vec();
        change(&mut bytes);
        state.objects.insert(name.to_owned(), bytes.into());
    }
}

impl Objects for MemoryObjects {
    fn put(&self, name: &str, source: &dyn ReadAt) -> io::Result<()> {
        let bytes = source.read_at(0, source.size()? as usize)?;
        let mut state = self.step()?;
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.objects.insert(name.to_owned(), bytes);
        state.loose.remove(name);
        state.puts += 1;
        Ok(())
    }

    fn secure(&self, name: &str) -> io::Result<()> {
        let mut state = self.step()?;
        state.loose.remove(name);
        if state.objects.contains_key(name) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Bytes> {
        let state = self.step()?;
        let bytes = state.objects.get(name).ok_or(io::ErrorKind::NotFound)?;
        let range = offset as usize..offset as usize + length;
        if range.end > bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes.slice(range))
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(self.step()?.objects.get(name).ok_or(io::ErrorKind::NotFound)?.len() as u64)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        Ok(self.step()?.objects.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.step()?;
        if state.kept {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        state.objects.remove(name);
        Ok(())
    }
}
