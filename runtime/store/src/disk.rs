//! The disk, behind a trait, so that everything that can go wrong with one can be made to happen.

use std::any::Any;
use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::{LocalDisk, StoreError};

/// What ends the name of a file that is not finished yet.
pub(crate) const TEMPORARY: &str = "tmp";

/// A file system as far as a store uses it. What survives a crash: content that was synced, under names whose
/// directory was synced; everything else may or may not.
///
/// Every method fails where the system refuses.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods above")]
pub trait Disk: Debug + Send + Sync {
    /// Creates an empty file, or empties the one that is there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file its final name, in place of one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Whoever has it open can go on reading.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The plain files in a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates a directory and those above it, durably; nothing where it is there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock file for as long as the answer lives; [`io::ErrorKind::WouldBlock`] where someone has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// Content that can be read anywhere.
///
/// Every method fails where the system refuses.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods above")]
pub trait ReadAt: Debug + Send + Sync {
    /// Reads exactly `length` bytes from `offset` on; [`io::ErrorKind::UnexpectedEof`] where the content is shorter.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;

    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for Bytes {
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(length);
        if end > self.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.slice(start..end))
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// An open file.
///
/// Every method fails where the system refuses.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods above")]
pub trait DiskFile: ReadAt {
    /// Writes all of `bytes` from `offset` on.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or fills it with zeros, to that length.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Reserves room, so that writes below `size` do not run out of it. The file reads as zeros there.
    fn reserve(&self, size: u64) -> io::Result<()>;

    /// Makes the content durable, and the length as far as reading the content needs it.
    fn sync(&self) -> io::Result<()>;
}

/// The lock on a store's directory, which is let go with the last of these: whatever may still write there, or remove
/// what it wrote, holds one.
#[derive(Clone)]
pub(crate) struct Lease {
    _lock: Arc<dyn Any + Send + Sync>,
}

impl Lease {
    pub(crate) fn new(lock: Box<dyn Any + Send + Sync>) -> Self {
        Self { _lock: Arc::from(lock) }
    }
}

impl Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lease")
    }
}

/// Writes a small file so that after a crash either the old content is there or the new one, never a part.
///
/// The bytes go to `<path>.tmp` first; two writers of one path must not run at once.
///
/// # Errors
/// Where the system refuses. The old content is then still there, unless making the new name durable failed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = write_temporary(&LocalDisk, path, bytes)?;
    publish(&LocalDisk, &temporary, path)
}

/// The first half of an atomic write: the bytes, durable under a temporary name. A failure leaves no file.
pub(crate) fn write_temporary(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<PathBuf, StoreError> {
    let temporary = temporary(path);
    let written = disk.create(&temporary).and_then(|file| {
        file.write_at(0, bytes)?;
        file.sync()
    });
    if let Err(source) = written {
        discard(disk, &temporary);
        return Err(StoreError::Io { action: "write", path: temporary, source });
    }
    Ok(temporary)
}

/// The second half: the final name, durable. After a failure the name may or may not be there.
pub(crate) fn publish(disk: &dyn Disk, temporary: &Path, path: &Path) -> Result<(), StoreError> {
    disk.rename(temporary, path).map_err(StoreError::io("rename to", path))?;
    let dir = parent(path);
    disk.sync_dir(dir).map_err(StoreError::io("sync", dir))
}

/// An error of the system once more.
pub(crate) fn same_error(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Removes a file that nothing refers to. Where that fails, the next open collects it.
pub(crate) fn discard(disk: &dyn Disk, path: &Path) {
    match disk.remove(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "an unused file stays until the next start"),
    }
}

/// The whole content of a file; none where there is no such file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Bytes>, StoreError> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::io("open", path)(source)),
    };
    let content = file.size().and_then(|size| file.read_at(0, usize::try_from(size).unwrap_or(usize::MAX)));
    content.map(Some).map_err(StoreError::io("read", path))
}

/// `path` with `.tmp` at its end.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// The directory that a path lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
