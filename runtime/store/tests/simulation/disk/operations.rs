//! The operations, each with what may go wrong with it.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::State;
use super::content::Content;
use super::faults::{self, Fault, Kind};

impl State {
    pub(super) fn crash(&mut self) {
        self.names.crash(&mut self.rng);
        let named: std::collections::BTreeSet<u64> = self.names.iter().map(|(_, file)| file).collect();
        self.files.retain(|file, _| named.contains(file));
        for content in self.files.values_mut() {
            content.crash(&mut self.rng);
        }
        self.restart();
    }

    pub(super) fn restart(&mut self) {
        self.boot += 1;
        self.stopped = false;
        self.locks.clear();
        self.faults.restart();
    }

    pub(super) fn used(&self) -> u64 {
        self.names.iter().map(|(_, file)| self.files[&file].visible().len() as u64).sum()
    }

    /// Counts and traces an operation. An answer is what goes wrong with it.
    fn meet(&mut self, kind: Kind, path: &Path, offset: u64, length: u64) -> io::Result<Option<Fault>> {
        if self.stopped {
            self.refused += 1;
            return Err(faults::error(Fault::Crash));
        }
        let fault = self.faults.meet(kind);
        self.trace.add(kind, path, offset, length, fault);
        self.stopped = fault == Some(Fault::Crash);
        Ok(fault)
    }

    /// Like `meet`, for operations that happen as a whole: before a crash, or not at all.
    fn whole(&mut self, kind: Kind, path: &Path) -> io::Result<Result<(), io::Error>> {
        match self.meet(kind, path, 0, 0)? {
            None => Ok(Ok(())),
            Some(Fault::Crash) if self.rng.chance(50) => Ok(Err(faults::error(Fault::Crash))),
            Some(fault) => Err(faults::error(fault)),
        }
    }

    fn missing(&self, path: &Path) -> io::Result<u64> {
        self.names.find(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn dir_of(&self, path: &Path) -> io::Result<()> {
        let known = path.parent().is_some_and(|dir| self.dirs.contains(dir));
        if known { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        let late = self.whole(Kind::Create, path)?;
        self.dir_of(path)?;
        let file = self.create_quietly(path);
        self.files.entry(file).or_default().set_size(0);
        late.map(|()| file)
    }

    fn create_quietly(&mut self, path: &Path) -> u64 {
        if let Some(file) = self.names.find(path) {
            return file;
        }
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, Content::default());
        self.names.link(path, file);
        file
    }

    pub(super) fn open(&mut self, path: &Path) -> io::Result<u64> {
        self.whole(Kind::Open, path)??;
        self.missing(path)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let late = self.whole(Kind::Rename, from)?;
        self.trace.bytes(to.as_os_str().as_encoded_bytes());
        self.missing(from)?;
        self.dir_of(to)?;
        self.names.rename(from, to);
        late
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let late = self.whole(Kind::Remove, path)?;
        self.missing(path)?;
        self.names.unlink(path);
        late
    }

    pub(super) fn list(&mut self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.whole(Kind::List, dir)??;
        if !self.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = self.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let mut paths: Vec<PathBuf> = inside.map(|(path, _)| path.clone()).collect();
        self.rng.shuffle(&mut paths);
        Ok(paths)
    }

    pub(super) fn create_dir(&mut self, dir: &Path) -> io::Result<()> {
        let late = self.whole(Kind::CreateDir, dir)?;
        self.dirs.extend(dir.ancestors().map(Path::to_path_buf));
        late
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        let late = self.whole(Kind::SyncDir, dir)?;
        if !self.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !self.lies.sync_dir {
            self.names.sync(dir);
        }
        late
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<u64> {
        let late = self.whole(Kind::Lock, path)?;
        self.dir_of(path)?;
        self.create_quietly(path);
        late?;
        if self.locks.insert(path.to_owned()) { Ok(self.boot) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn content(&mut self, file: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Bytes by which files may grow.
    fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    pub(super) fn write(&mut self, path: &Path, file: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let fault = self.meet(Kind::Write, path, offset, bytes.len() as u64)?;
        self.trace.bytes(&crc32c::crc32c(bytes).to_le_bytes());
        let room = self.room();
        let size = self.content(file)?.visible().len() as u64;
        let fits = size.max(offset).saturating_add(room).saturating_sub(offset);
        let mut written = usize::try_from(fits).unwrap_or(usize::MAX).min(bytes.len());
        let failure = match fault {
            Some(fault) => {
                let reached = self.rng.index(bytes.len() + 1);
                let reached = if fault == Fault::ReadOnly { 0 } else { *self.rng.pick(&[0, reached, bytes.len()]) };
                written = written.min(reached);
                Some(faults::error(fault))
            }
            None => (written < bytes.len()).then(|| {
                self.refused += 1;
                faults::full()
            }),
        };
        if written > 0 {
            self.content(file)?.write(offset as usize, &bytes[..written]);
        }
        failure.map_or(Ok(()), Err)
    }

    pub(super) fn read(&mut self, path: &Path, file: u64, offset: u64, length: usize) -> io::Result<Bytes> {
        if let Some(fault) = self.meet(Kind::Read, path, offset, length as u64)? {
            return Err(faults::error(fault));
        }
        let content = self.content(file)?.visible();
        let end = offset.checked_add(length as u64).filter(|end| *end <= content.len() as u64);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Bytes::copy_from_slice(&content[offset as usize..end as usize]))
    }

    pub(super) fn size(&mut self, path: &Path, file: u64) -> io::Result<u64> {
        if let Some(fault) = self.meet(Kind::Size, path, 0, 0)? {
            return Err(faults::error(fault));
        }
        Ok(self.content(file)?.visible().len() as u64)
    }

    pub(super) fn resize(&mut self, kind: Kind, path: &Path, file: u64, size: u64) -> io::Result<()> {
        let late = self.whole(kind, path)?;
        self.trace.bytes(&size.to_le_bytes());
        let present = self.content(file)?.visible().len() as u64;
        let size = if kind == Kind::Reserve { size.max(present) } else { size };
        if size.saturating_sub(present) > self.room() {
            self.refused += 1;
            return Err(faults::full());
        }
        self.content(file)?.set_size(size as usize);
        late
    }

    pub(super) fn sync(&mut self, path: &Path, file: u64) -> io::Result<()> {
        let fault = self.meet(Kind::Sync, path, 0, 0)?;
        let lies = self.lies.sync;
        let mut rng = self.rng.fork();
        let content = self.content(file)?;
        match fault {
            None if lies => Ok(()),
            None => {
                content.sync();
                Ok(())
            }
            // What was under way when the power went is settled by the crash.
            Some(Fault::Crash) => Err(faults::error(Fault::Crash)),
            Some(fault) => {
                content.fail_sync(&mut rng);
                Err(faults::error(fault))
            }
        }
    }
}
