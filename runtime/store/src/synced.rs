//! How far the log and the manifest have been synced.
//!
//! A crash tears the end off a file, and so may damage; they differ in whether something had come to depend on that
//! end. So after each sync the store notes in a file of its own how far it went. The note is not synced: it costs a
//! write and no wait, and where it survives, what it tells of was durable before it was written. Where it does not, an
//! end that cannot be read passes for torn.
//!
//! 44 bytes: `DOMSYN01`; number and bytes of the log file, number and bytes of the manifest, each 64-bit little-endian;
//! CRC-32C of all before.

use std::path::Path;
use std::sync::Arc;

use crate::StoreError;
use crate::disk::{Disk, DiskFile};

/// The file's name.
pub(crate) const SYNCED: &str = "SYNCED";
const MAGIC: [u8; 8] = *b"DOMSYN01";
const BYTES: usize = 44;

/// A file by its number, and how many of its bytes are durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
}

impl Reach {
    /// Bytes of the file of that number that are known to be durable.
    pub(crate) fn of(self, number: u64) -> u64 {
        if self.number == number { self.bytes } else { 0 }
    }
}

/// The note, open to be changed.
#[derive(Debug)]
pub(crate) struct Synced {
    file: Arc<dyn DiskFile>,
    pub(crate) log: Reach,
    pub(crate) manifest: Reach,
}

impl Synced {
    /// Reads the note; one that is not there or was never finished tells of nothing.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(SYNCED);
        let opened = match disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => disk.create(&path),
            opened => opened,
        };
        let file = opened.map_err(StoreError::io("open", &path))?;
        let size = file.size().map_err(StoreError::io("read", &path))?;
        let bytes = file.read_at(0, BYTES.min(usize::try_from(size).unwrap_or(BYTES)));
        let (log, manifest) = decode(&bytes.map_err(StoreError::io("read", &path))?).unwrap_or_default();
        Ok(Self { file, log, manifest })
    }

    pub(crate) fn note_log(&mut self, number: u64, bytes: u64) {
        self.log = Reach { number, bytes };
        self.write();
    }

    pub(crate) fn note_manifest(&mut self, number: u64, bytes: u64) {
        self.manifest = Reach { number, bytes };
        self.write();
    }

    fn write(&self) {
        let mut bytes = MAGIC.to_vec();
        for word in [self.log.number, self.log.bytes, self.manifest.number, self.manifest.bytes] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        // Nothing depends on it.
        if let Err(error) = self.file.write_at(0, &bytes) {
            tracing::debug!(%error, "how far the log is synced cannot be noted");
        }
    }
}

fn decode(bytes: &[u8]) -> Option<(Reach, Reach)> {
    let (content, sum) = bytes.split_at_checked(BYTES - 4)?;
    if content[..8] != MAGIC || crc32c::crc32c(content).to_le_bytes() != *sum {
        return None;
    }
    let word = |at: usize| Some(u64::from_le_bytes(content.get(at..at + 8)?.try_into().ok()?));
    Some((Reach { number: word(8)?, bytes: word(16)? }, Reach { number: word(24)?, bytes: word(32)? }))
}
