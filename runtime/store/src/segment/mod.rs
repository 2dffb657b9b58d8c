//! Segments: immutable Parquet files of one partition, each sorted by primary key.

mod encoding;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domicile_types::Digest;
use parquet::file::metadata::ParquetMetaData;
use serde::{Deserialize, Serialize};

use crate::blocks::Blocks;
use crate::bounds::Bounds;
use crate::disk::{self, Disk, DiskFile};
use crate::objects::Objects;
use crate::partition::PartitionKey;
use crate::{SegmentProblem, StoreError, hash};

pub(crate) use read::SegmentReader;
pub use read::rows_at_a_time;
pub(crate) use write::{Writer, WriterParts, moments, tombstones};

/// What ends a segment's file name.
pub(crate) const EXTENSION: &str = "parquet";

/// What the manifest says about a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentEntry {
    pub(crate) id: u64,
    pub(crate) dataset: String,
    pub(crate) partition: PartitionKey,
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Segments of one run share no keys.
    pub(crate) run: u64,
    pub(crate) tombstones: u64,
    /// Moments of the oldest and the newest version in it.
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    /// Mark of the dataset's description under which it was written.
    pub(crate) shape: u32,
    /// Of the first key column; absent without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bounds: Option<Bounds>,
    /// Bytes in memory of a row, on average over the row group whose rows are the widest; zero where nobody counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) row_bytes: u64,
    #[serde(with = "hash::text")]
    pub(crate) sha256: Digest,
    pub(crate) crc32c: Blocks,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cold: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl SegmentEntry {
    /// The name of its object in the cold storage. It tells the dataset, and no value of any row.
    pub(crate) fn object(&self) -> String {
        format!("{}/{}", self.dataset, self.file)
    }

    /// The name of a segment's file.
    pub(crate) fn file_name(dataset: &str, id: u64, digest: &Digest) -> String {
        format!("{dataset}-{id:010}-{}.{EXTENSION}", digest.short())
    }
}

/// Where a segment's bytes are.
#[derive(Debug)]
pub(crate) enum Place {
    /// A file. It is opened for each read: there may be more segments than a process may have files open.
    Disk { disk: Arc<dyn Disk>, path: PathBuf },
    /// An object in the cold storage, or in a backup.
    Object { objects: Arc<dyn Objects>, name: String },
}

/// An immutable Parquet file that holds rows of one partition. While one is held, its file can be read.
pub struct Segment {
    /// Its number, unique in the store.
    pub id: u64,
    /// Row versions in it, tombstones included. Never zero.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Segments of one run share no keys; the runs of later writes have larger numbers.
    pub run: u64,
    /// How many of the rows are marks of deleted rows.
    pub tombstones: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
    pub(crate) entry: SegmentEntry,
    place: Place,
    metadata: OnceLock<Arc<ParquetMetaData>>,
    /// Set once no manifest names the segment: the last one who holds it removes the file.
    obsolete: AtomicBool,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("file", &self.entry.file).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Segment {
    pub(crate) fn new(entry: SegmentEntry, place: Place) -> Self {
        Self {
            id: entry.id,
            rows: entry.rows,
            bytes: entry.bytes,
            run: entry.run,
            tombstones: entry.tombstones,
            digest: entry.sha256,
            entry,
            place,
            metadata: OnceLock::new(),
            obsolete: AtomicBool::new(false),
        }
    }

    /// The path of the file, or the address of the object, for messages.
    pub fn location(&self) -> PathBuf {
        match &self.place {
            Place::Disk { path, .. } => path.clone(),
            Place::Object { objects, name } => PathBuf::from(objects.address(name)),
        }
    }

    /// Mark of the dataset's description under which it was written: columns, key and partitioning.
    pub fn shape(&self) -> u32 {
        self.entry.shape
    }

    /// The footer and page index. Read once, then kept.
    ///
    /// # Errors
    /// Where the file cannot be read or is damaged.
    pub fn metadata(&self) -> Result<Arc<ParquetMetaData>, StoreError> {
        if let Some(metadata) = self.metadata.get() {
            return Ok(Arc::clone(metadata));
        }
        let metadata = read::metadata(self)?;
        Ok(Arc::clone(self.metadata.get_or_init(|| metadata)))
    }

    /// The bytes in `range`, compared with the checksums of their blocks.
    ///
    /// # Errors
    /// Where the range is not in the file, the file cannot be read, or is not what was written; the error says where.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.start > range.end || range.end > self.bytes {
            return Err(self.refused(SegmentProblem::Damaged));
        }
        let around = Blocks::around(&range, self.bytes);
        let bytes = self.fetch(&around)?;
        if let Some((first, last)) = self.entry.crc32c.damage(around.start, &bytes) {
            return Err(self.refused(SegmentProblem::Checksum { first, last }));
        }
        let start = usize::try_from(range.start - around.start).unwrap_or(usize::MAX);
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        Ok(bytes.slice(start..start + length))
    }

    /// Reads the whole file, compares every checksum and the digest, and gives each block to `on_bytes`.
    ///
    /// # Errors
    /// Where the file cannot be read or is not what was written, or `on_bytes` fails.
    pub fn verify(&self, mut on_bytes: impl FnMut(&Bytes) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut hasher = hash::Hashing::default();
        let mut offset = 0;
        while offset < self.bytes {
            let end = (offset + crate::blocks::BLOCK_BYTES as u64).min(self.bytes);
            let bytes = self.read(offset..end)?;
            hasher.update(&bytes);
            on_bytes(&bytes)?;
            offset = end;
        }
        if hasher.finish() == self.digest { Ok(()) } else { Err(self.refused(SegmentProblem::Damaged)) }
    }

    fn fetch(&self, range: &Range<u64>) -> Result<Bytes, StoreError> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let bytes = match &self.place {
            Place::Disk { .. } => self.file()?.read_at(range.start, length),
            Place::Object { objects, name } => objects.read_at(name, range.start, length),
        };
        bytes.map_err(|source| match self.size() {
            // What is cut off cannot be read, and its size says more than the end that was met.
            Ok(actual) if actual != self.bytes => self.refused(SegmentProblem::Size { expected: self.bytes, actual }),
            _ => self.unreadable("read", source),
        })
    }

    /// The size that the file or object has now.
    fn size(&self) -> std::io::Result<u64> {
        match &self.place {
            Place::Disk { disk, path } => disk.open(path)?.size(),
            Place::Object { objects, name } => objects.size(name),
        }
    }

    /// The open file, where it is on the disk.
    pub(crate) fn file(&self) -> Result<Arc<dyn DiskFile>, StoreError> {
        match &self.place {
            Place::Disk { disk, path } => disk.open(path).map_err(|source| self.unreadable("open", source)),
            Place::Object { .. } => Err(self.refused(SegmentProblem::Missing)),
        }
    }

    /// Checks that the file is there with its size. What it holds is checked whenever it is read.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let actual = match &self.place {
            Place::Disk { .. } => self.file()?.size(),
            // Cold storage may be away for a while; a read will tell.
            Place::Object { .. } => return Ok(()),
        };
        let actual = actual.map_err(|source| self.unreadable("inspect", source))?;
        if actual == self.bytes {
            return Ok(());
        }
        Err(self.refused(SegmentProblem::Size { expected: self.bytes, actual }))
    }

    /// From now on nothing but those who hold it needs this segment: its file goes with the last of them.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_cold(&self) -> bool {
        self.entry.cold
    }

    /// The same rows at another place.
    pub(crate) fn moved(&self, entry: SegmentEntry, place: Place) -> Self {
        let moved = Self::new(entry, place);
        if let Some(metadata) = self.metadata.get() {
            moved.metadata.get_or_init(|| Arc::clone(metadata));
        }
        moved
    }

    fn unreadable(&self, action: &'static str, source: std::io::Error) -> StoreError {
        if source.kind() == std::io::ErrorKind::NotFound {
            return self.refused(SegmentProblem::Missing);
        }
        StoreError::Io { action, path: self.location(), source }
    }

    pub(crate) fn refused(&self, problem: SegmentProblem) -> StoreError {
        StoreError::Segment { path: self.location(), problem }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.obsolete.load(Ordering::SeqCst) {
            return;
        }
        // Objects are swept by a job: whoever lets go of the last snapshot is not to wait for a network.
        if let Place::Disk { disk, path } = &self.place {
            disk::discard(disk.as_ref(), path);
        }
    }
}
