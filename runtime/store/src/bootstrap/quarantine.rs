//! Entries that were set aside: they do not count, and are not lost.
//!
//! A file each: SHA-256 of what follows, then the entry as [`Entry::encode`] makes it.

use std::path::{Path, PathBuf};

use domicile_types::{DatasetName, Dot, Hlc, SetName, limits};

use super::BootstrapProblem;
use crate::disk;
use crate::logs::Entry;
use crate::{Ack, Store, StoreError, hash};

const DIR: &str = "quarantine";
const DIGEST_BYTES: usize = 32;

/// An entry that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Which entry.
    pub dot: Dot,
    /// When it was written, by its writer's clock.
    pub hlc: Hlc,
    /// The dataset that it is of.
    pub dataset: DatasetName,
    /// Rows in it, deletions included.
    pub rows: usize,
    /// Bytes of it.
    pub bytes: u64,
    /// Whether it never counts anywhere any more, so that it can be committed again. Before that it may still come from
    /// another region.
    pub is_decided: bool,
}

impl Store {
    /// Sets entries aside, durably. Those that are set aside already stay as they are.
    ///
    /// # Errors
    /// Where there is no more room, or the disk fails.
    pub fn set_aside(&self, entries: &[Entry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let (dir, disk) = (self.quarantine()?, self.parts.disk.as_ref());
        let mut held = 0;
        for path in self.quarantine_files()? {
            let file = disk.open(&path).map_err(StoreError::io("open", &path))?;
            held += file.size().map_err(StoreError::io("inspect", &path))?;
        }
        for entry in entries {
            let path = dir.join(file_name(&entry.mark.set, &entry.mark.dot));
            if disk::read(disk, &path)?.is_some() {
                continue;
            }
            let mut text = vec![0; DIGEST_BYTES];
            entry.encode(&mut text)?;
            let digest = hash::of_bytes(&text[DIGEST_BYTES..]);
            text[..DIGEST_BYTES].copy_from_slice(&digest.0);
            held += text.len() as u64;
            if held > limits::QUARANTINE_BYTES_MAX {
                return Err(BootstrapProblem::QuarantineFull { max: limits::QUARANTINE_BYTES_MAX }.into());
            }
            let temporary = disk::write_temporary(disk, &path, &text)?;
            disk::publish(disk, &temporary, &path)?;
        }
        Ok(())
    }

    /// The entries of a set that were set aside and do not count here, in the order of their logs.
    ///
    /// # Errors
    /// Where one of them cannot be read, or is damaged.
    pub fn quarantined(&self, set: &SetName) -> Result<Vec<Quarantined>, StoreError> {
        let state = self.logs.state(set);
        let mut listed = Vec::new();
        for path in self.quarantine_files()? {
            let Some(entry) = self.read_quarantined(&path)? else { continue };
            let dot = entry.mark.dot.clone();
            if entry.mark.set != *set || state.applied.contains(&dot) {
                continue;
            }
            let (_, dataset, _) = entry.open()?;
            let is_decided = state.members.is_void(&entry.mark);
            let (hlc, rows, bytes) = (entry.mark.hlc, entry.rows(), entry.encoded_len() as u64);
            listed.push(Quarantined { dot, hlc, dataset, rows, bytes, is_decided });
        }
        listed.sort_by(|a, b| a.dot.cmp(&b.dot));
        Ok(listed)
    }

    /// Commits the rows of an entry that was set aside as a new write, over whatever counts by now, and drops the entry.
    ///
    /// # Errors
    /// Where there is no such entry, it may still come to count elsewhere, or its rows cannot be committed. It stays
    /// set aside then.
    pub fn commit_quarantined(&mut self, set: &SetName, dot: &Dot, now_ms: u64) -> Result<Ack, StoreError> {
        let path = self.quarantine()?.join(file_name(set, dot));
        let missing = || StoreError::from(BootstrapProblem::NotQuarantined { dot: dot.clone() });
        let entry = self.read_quarantined(&path)?.ok_or_else(missing)?;
        let state = self.logs.state(set);
        if state.applied.contains(dot) {
            return Err(missing());
        }
        if !state.members.is_void(&entry.mark) {
            return Err(BootstrapProblem::Undecided { dot: dot.clone() }.into());
        }
        let prepared = self.preparer().prepare_again(entry)?;
        let ack = self.commit(vec![prepared], now_ms).swap_remove(0)?;
        self.drop_quarantined(set, dot)?;
        Ok(ack)
    }

    /// Forgets an entry that was set aside.
    ///
    /// # Errors
    /// Where there is no such entry, or the disk fails.
    pub fn drop_quarantined(&self, set: &SetName, dot: &Dot) -> Result<(), StoreError> {
        let dir = self.quarantine()?;
        let (path, disk) = (dir.join(file_name(set, dot)), self.parts.disk.as_ref());
        if disk::read(disk, &path)?.is_none() {
            return Err(BootstrapProblem::NotQuarantined { dot: dot.clone() }.into());
        }
        disk.remove(&path).map_err(StoreError::io("remove", &path))?;
        disk.sync_dir(&dir).map_err(StoreError::io("sync", &dir))
    }

    fn quarantine(&self) -> Result<PathBuf, StoreError> {
        let dir = self.parts.dir.join(DIR);
        self.parts.disk.create_dir(&dir).map_err(StoreError::io("create", &dir))?;
        Ok(dir)
    }

    fn quarantine_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let dir = self.quarantine()?;
        let mut files = self.parts.disk.list(&dir).map_err(StoreError::io("list", &dir))?;
        files.retain(|path| path.extension().is_some_and(|kind| kind == "entry"));
        Ok(files)
    }

    fn read_quarantined(&self, path: &Path) -> Result<Option<Entry>, StoreError> {
        let Some(text) = disk::read(self.parts.disk.as_ref(), path)? else { return Ok(None) };
        let is_whole = text.len() > DIGEST_BYTES && hash::of_bytes(&text[DIGEST_BYTES..]).0[..] == text[..DIGEST_BYTES];
        if !is_whole {
            let source = std::io::Error::from(std::io::ErrorKind::InvalidData);
            return Err(StoreError::Io { action: "read", path: path.to_owned(), source });
        }
        Ok(Some(Entry::decode(&text.slice(DIGEST_BYTES..))?.0))
    }
}

fn file_name(set: &SetName, dot: &Dot) -> String {
    format!("{set}.{}.{}.{:020}.entry", dot.origin.region, dot.origin.epoch, dot.seq)
}
