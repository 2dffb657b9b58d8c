//! An object store in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use domicile_store::{DiskFile, Objects};

#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryObjects(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    /// Operations until none succeeds any more.
    left: Option<u64>,
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

    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let mut bytes = state.objects[name].to_vec();
        change(&mut bytes);
        state.objects.insert(name.to_owned(), bytes.into());
    }
}

impl Objects for MemoryObjects {
    fn put(&self, name: &str, source: &dyn DiskFile) -> io::Result<()> {
        let bytes = source.read_at(0, source.size()? as usize)?;
        let mut state = self.step()?;
        state.objects.insert(name.to_owned(), bytes);
        state.puts += 1;
        Ok(())
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
        self.step()?.objects.remove(name);
        Ok(())
    }
}
