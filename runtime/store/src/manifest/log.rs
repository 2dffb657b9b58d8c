//! The file of edits.
//!
//! `DOMMAN01`, then records: length and CRC-32C of the text, both 32-bit little-endian, the text as JSON. The checksum
//! is seeded with the record's offset.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Edit, State};
use crate::disk::{self, Disk, DiskFile};
use crate::synced::Reach;
use crate::{ManifestProblem, StoreError};

/// The file that names the manifest: the name, and the CRC-32C of it in hexadecimal.
pub(crate) const CURRENT: &str = "CURRENT";
const PREFIX: &str = "MANIFEST-";
const MAGIC: [u8; 8] = *b"DOMMAN01";
const HEAD_BYTES: usize = 8;

/// Bytes of edits after which the whole state is written anew.
const REWRITE_BYTES: u64 = 1024 * 1024;

/// The manifest's file, open for further edits.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    number: u64,
    offset: u64,
    /// Offset behind the first edit, which is the whole state.
    base: u64,
    rewrite_bytes: u64,
    /// Set once an edit failed so late that nobody knows whether it is in the file.
    poisoned: bool,
}

impl Log {
    /// Opens the manifest that `CURRENT` names; none where there is no `CURRENT`. An edit that a crash left unfinished
    /// is cut off: nothing had come to depend on it. `synced` tells how much of it was durable.
    pub(crate) fn open(disk: &Arc<dyn Disk>, dir: &Path, synced: Reach) -> Result<Option<(Self, State)>, StoreError> {
        let current = dir.join(CURRENT);
        let Some(named) = disk::read(disk.as_ref(), &current)? else { return Ok(None) };
        let refuse = |path: &Path, problem| StoreError::Manifest { path: path.to_owned(), problem };
        let number = number_in(&named).ok_or_else(|| refuse(&current, ManifestProblem::Checksum { offset: 0 }))?;
        let path = dir.join(name_of(number));
        let Some(content) = disk::read(disk.as_ref(), &path)? else {
            return Err(refuse(&path, ManifestProblem::Missing));
        };
        if content.get(..MAGIC.len()) != Some(&MAGIC) {
            // The formats of other versions differ in the number only.
            let is_foreign = content.len() < MAGIC.len() || content.starts_with(&MAGIC[..6]);
            let damage = ManifestProblem::Checksum { offset: 0 };
            return Err(refuse(&path, if is_foreign { ManifestProblem::Format } else { damage }));
        }
        let mut state = State::default();
        let mut offset = MAGIC.len();
        let mut base = 0;
        let mut last = offset;
        while let Some((edit, next)) = record(&content, offset) {
            let edit = serde_json::from_slice(edit).map_err(|_| refuse(&path, ManifestProblem::Format))?;
            state.apply(edit);
            base = if base == 0 { next } else { base };
            (last, offset) = (offset, next);
        }
        // Edits are synced one by one, so that only the last can be torn; and the first was synced before `CURRENT`.
        let lost = (offset as u64) < synced.of(number);
        if base == 0 || lost || (offset + 1..content.len()).any(|at| record(&content, at).is_some()) {
            return Err(refuse(&path, ManifestProblem::Checksum { offset: offset as u64 }));
        }
        let file = disk.open(&path).map_err(StoreError::io("open", &path))?;
        // The last edit is written once more: after a sync that failed, the system shows bytes that no later sync
        // writes, since it takes them for written.
        let mended = file.set_size(offset as u64).and_then(|()| file.write_at(last as u64, &content[last..offset]));
        mended.and_then(|()| file.sync()).map_err(StoreError::io("mend", &path))?;
        let log = Self {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            path,
            file,
            number,
            offset: offset as u64,
            base: base as u64,
            rewrite_bytes: REWRITE_BYTES,
            poisoned: false,
        };
        Ok(Some((log, state)))
    }

    /// Writes a new manifest of this state and makes it the one that counts.
    pub(crate) fn create(disk: &Arc<dyn Disk>, dir: &Path, number: u64, state: &State) -> Result<Self, StoreError> {
        let (log, current) = Self::write(disk, dir, number, state)?;
        disk::publish(disk.as_ref(), &current, &dir.join(CURRENT))?;
        Ok(log)
    }

    /// Writes a new manifest of this state, and what makes it the one that counts under a temporary name, which is
    /// given too. Until that gets its name, nothing has changed.
    fn write(disk: &Arc<dyn Disk>, dir: &Path, number: u64, state: &State) -> Result<(Self, PathBuf), StoreError> {
        let path = dir.join(name_of(number));
        let mut content = MAGIC.to_vec();
        encode(&state.whole(), MAGIC.len() as u64, &mut content)?;
        let temporary = disk::write_temporary(disk.as_ref(), &path, &content)?;
        disk::publish(disk.as_ref(), &temporary, &path)?;
        let file = disk.open(&path).map_err(StoreError::io("open", &path))?;
        let current = disk::write_temporary(disk.as_ref(), &dir.join(CURRENT), naming(number).as_bytes())?;
        let offset = content.len() as u64;
        let (disk, dir) = (Arc::clone(disk), dir.to_owned());
        let (rewrite_bytes, poisoned) = (REWRITE_BYTES, false);
        Ok((Self { disk, dir, path, file, number, offset, base: offset, rewrite_bytes, poisoned }, current))
    }

    /// Appends an edit; it is durable when this returns. `next` is the state with it.
    ///
    /// # Errors
    /// Where the disk fails. Where it fails so late that the outcome is unknown, every later edit is refused.
    pub(crate) fn append(&mut self, edit: &Edit, next: &State) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned { path: self.path.clone() });
        }
        let mut bytes = Vec::new();
        encode(edit, self.offset, &mut bytes)?;
        if self.offset - self.base + bytes.len() as u64 > self.rewrite_bytes.max(self.base) {
            match Self::write(&self.disk, &self.dir, self.number + 1, next) {
                Ok((rewritten, current)) => return self.give_way(rewritten, &current),
                Err(error) => tracing::warn!(%error, "the manifest cannot be written anew yet, so it grows"),
            }
        }
        self.poisoned = true;
        if let Err(source) = self.file.write_at(self.offset, &bytes) {
            // The edit may be whole on the disk all the same; only once it is gone is its outcome known.
            let cut = self.file.set_size(self.offset).and_then(|()| self.file.sync());
            self.poisoned = cut.is_err();
            return Err(StoreError::io("write", &self.path)(source));
        }
        self.file.sync().map_err(StoreError::io("sync", &self.path))?;
        self.poisoned = false;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Lets `rewritten` be the one that counts.
    fn give_way(&mut self, rewritten: Self, current: &Path) -> Result<(), StoreError> {
        let old = self.path.clone();
        self.poisoned = true;
        disk::publish(self.disk.as_ref(), current, &self.dir.join(CURRENT))?;
        let rewrite_bytes = self.rewrite_bytes;
        *self = Self { rewrite_bytes, ..rewritten };
        disk::discard(self.disk.as_ref(), &old);
        Ok(())
    }

    /// Sets the bytes of edits after which the whole state is written anew.
    pub(crate) fn with_rewrite_bytes(mut self, bytes: u64) -> Self {
        self.rewrite_bytes = bytes;
        self
    }

    /// The file's number, and how many of its bytes are durable.
    pub(crate) fn reach(&self) -> (u64, u64) {
        (self.number, self.offset)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

/// Whether a file's name is that of a manifest.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX))
}

fn name_of(number: u64) -> String {
    format!("{PREFIX}{number:06}")
}

/// What `CURRENT` has to say to name a manifest.
fn naming(number: u64) -> String {
    let name = name_of(number);
    format!("{name} {:08x}\n", crc32c::crc32c(name.as_bytes()))
}

fn number_in(named: &[u8]) -> Option<u64> {
    let name = std::str::from_utf8(named).ok()?.split(' ').next()?;
    let number = name.strip_prefix(PREFIX)?.parse().ok()?;
    (naming(number).as_bytes() == named).then_some(number)
}

fn encode(edit: &Edit, offset: u64, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let text = serde_json::to_vec(edit).map_err(StoreError::encoding)?;
    let length =
        u32::try_from(text.len()).map_err(|_| StoreError::Full { unit: "manifest bytes", max: u32::MAX as usize })?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(offset, &text).to_le_bytes());
    out.extend_from_slice(&text);
    Ok(())
}

/// The whole record at `offset`, and the offset behind it.
fn record(content: &[u8], offset: usize) -> Option<(&[u8], usize)> {
    let head = content.get(offset..offset.checked_add(HEAD_BYTES)?)?;
    let (length, sum) = head.split_at(4);
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let start = offset + HEAD_BYTES;
    let text = content.get(start..start.checked_add(length)?)?;
    (length > 0 && checksum(offset as u64, text).to_le_bytes() == *sum).then_some((text, start + length))
}

fn checksum(offset: u64, text: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), text)
}
