//! The write-ahead log: files of records, each durable when an append returns.
//!
//! A file starts with a header of [`HEADER_BYTES`]: `DOMWAL01`, the format, the number of the file, the offset at which
//! the file before ended, the epoch, the region, and a CRC-32C of all that. The checksums of its records are seeded
//! with that CRC and cover the offsets of their groups, so that bytes of another file or place are never taken for a
//! record.

pub(crate) mod mark;
pub(crate) mod record;
mod recover;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domicile_types::RegionId;

use crate::disk::{Disk, DiskFile};
use crate::{LogProblem, StoreError};

pub(crate) use record::{Body, Description, Idempotency, Use};
pub(crate) use recover::{Damage, Durable, Record, Replay, Replayed, end_before, mend, replay};

/// Bytes of a file's header.
pub(crate) const HEADER_BYTES: u64 = 4096;
const MAGIC: [u8; 8] = *b"DOMWAL01";
const FORMAT: u32 = 1;
pub(crate) const EXTENSION: &str = "wal";

/// The path of a log file.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.{EXTENSION}"))
}

/// The number of a log file; none for other files.
pub(crate) fn number_of(path: &Path) -> Option<u64> {
    if path.extension()? != EXTENSION {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// What the header of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) number: u64,
    /// Offset at which the file before ended; 0 for the first.
    pub(crate) before_end: u64,
    pub(crate) epoch: u32,
    pub(crate) region: RegionId,
}

impl FileHeader {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.before_end.to_le_bytes());
        let region = self.region.as_str().as_bytes();
        bytes.extend_from_slice(&(region.len() as u32).to_le_bytes());
        bytes.extend_from_slice(region);
        bytes.resize(HEADER_BYTES as usize - 4, 0);
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header and the seed of the records' checksums.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        let (content, sum) = bytes.get(..HEADER_BYTES as usize)?.split_at_checked(HEADER_BYTES as usize - 4)?;
        let word = |at: usize| Some(u32::from_le_bytes(content.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(content.get(at..at + 8)?.try_into().ok()?));
        let seed = crc32c::crc32c(content);
        if seed.to_le_bytes() != *sum || content[..8] != MAGIC || word(8)? != FORMAT {
            return None;
        }
        let region = content.get(36..36 + word(32)? as usize)?;
        let region = std::str::from_utf8(region).ok()?.parse().ok()?;
        Some((Self { number: long(16)?, before_end: long(24)?, epoch: word(12)?, region }, seed))
    }
}

/// A log file that is written to.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    pub(crate) number: u64,
    seed: u32,
    pub(crate) offset: u64,
    /// Mark of the last record's dataset.
    last: u32,
    reserve: u64,
    /// Whether bytes may lie behind `offset` that a failed append left.
    dirty: bool,
}

impl LogFile {
    /// Starts a file with `reserve` bytes reserved. Afterwards it is durable, name included.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, header: &FileHeader, reserve: u64) -> Result<Self, StoreError> {
        let path = path(dir, header.number);
        let bytes = header.encode();
        let seed = crc32c::crc32c(&bytes[..bytes.len() - 4]);
        let file = disk.create(&path).map_err(StoreError::io("create", &path))?;
        let written =
            file.reserve(reserve.max(HEADER_BYTES)).and_then(|()| file.write_at(0, &bytes)).and_then(|()| file.sync());
        let synced = written.and_then(|()| disk.sync_dir(dir));
        if let Err(source) = synced {
            crate::disk::discard(disk, &path);
            return Err(StoreError::io("write", &path)(source));
        }
        Ok(Self { path, file, number: header.number, seed, offset: HEADER_BYTES, last: 0, reserve, dirty: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn last(&self) -> u32 {
        self.last
    }

    pub(crate) fn seed(&self) -> u32 {
        self.seed
    }

    /// Takes away what a failed append left, which must not be taken for records later.
    pub(crate) fn clean(&mut self) -> std::io::Result<()> {
        if self.dirty {
            self.file.set_size(self.offset)?;
            self.file.reserve(self.reserve)?;
            self.file.sync()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Does all that an append needs, and writes nothing.
    pub(crate) fn probe(&mut self) -> std::io::Result<()> {
        self.clean()?;
        self.file.reserve(self.reserve)?;
        self.file.write_at(self.offset, &[0; 8])?;
        self.file.sync()
    }

    /// Writes a group of records and makes them durable. `last` is the mark of the last one's dataset.
    ///
    /// # Errors
    /// [`AppendError::Unwritten`] where nothing was written and the log can go on; [`AppendError::Unknown`] where
    /// nobody knows what is on the disk.
    pub(crate) fn append(&mut self, group: &[u8], last: u32, sync: bool) -> Result<(), AppendError> {
        self.clean().map_err(AppendError::Unwritten)?;
        if let Err(error) = self.file.write_at(self.offset, group) {
            self.dirty = true;
            return Err(AppendError::Unwritten(error));
        }
        if sync {
            self.file.sync().map_err(AppendError::Unknown)?;
        }
        self.offset += group.len() as u64;
        self.last = last;
        Ok(())
    }
}

/// Why an append failed.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// The group is not in the log. The next append may succeed.
    Unwritten(std::io::Error),
    /// The group may or may not survive a crash.
    Unknown(std::io::Error),
}

pub(crate) fn damaged(path: &Path, offset: u64, problem: LogProblem) -> StoreError {
    StoreError::Log { path: path.to_owned(), offset, problem }
}
