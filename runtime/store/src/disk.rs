//! The few disk operations that durability hangs on, behind a trait so that each can be made to fail.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// What ends the name of a file that is not finished yet.
pub(crate) const TEMPORARY: &str = "tmp";

/// The operations whose order and outcome decide what survives a crash. The methods do them on the local disk.
pub trait Disk: Debug + Send + Sync {
    /// Creates an empty file, or empties the one that is there.
    ///
    /// # Errors
    /// Where the system refuses.
    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    /// Makes a file's content durable.
    ///
    /// # Errors
    /// Where the system refuses.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives a file its final name, in place of one that has it.
    ///
    /// # Errors
    /// Where the system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Where the system refuses.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Where the system refuses.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The local disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {}

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
    let written = disk.create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        disk.sync(&file)
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

/// Removes a file that nothing refers to. Where that fails, the next open collects it.
pub(crate) fn discard(disk: &dyn Disk, path: &Path) {
    match disk.remove(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "an unfinished file stays until the next start"),
    }
}

pub(crate) fn create_dir(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
    let dir = parent(path);
    LocalDisk.sync_dir(dir).map_err(StoreError::io("sync", dir))
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
