//! Blobs: files named by the SHA-256 digest of their content.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use domicile_types::Digest;

use crate::disk::{self, TEMPORARY};
use crate::{Disk, LocalDisk, StoreError, hash};

/// A directory of blobs. One process uses it at a time, from any number of threads.
#[derive(Debug)]
pub struct Blobs {
    dir: PathBuf,
    /// Keeps the temporary names of concurrent writers apart.
    writes: AtomicU64,
}

impl Blobs {
    /// Opens a directory of blobs, or makes an empty one. Unfinished files are removed.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        LocalDisk.create_dir(dir).map_err(StoreError::io("create", dir))?;
        for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
            let path = entry.map_err(StoreError::io("list", dir))?.path();
            if path.extension().is_some_and(|extension| extension == TEMPORARY) {
                disk::discard(&LocalDisk, &path);
            }
        }
        Ok(Self { dir: dir.to_owned(), writes: AtomicU64::new(0) })
    }

    /// Keeps `bytes`; they are durable when this returns. How large they may be is the caller's business.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = hash::of_bytes(bytes);
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let temporary = disk::write_temporary(&LocalDisk, &self.dir.join(format!("{digest}.{number}")), bytes)?;
        disk::publish(&LocalDisk, &temporary, &self.path(&digest))?;
        Ok(digest)
    }

    /// The bytes of that digest, or none where they were never put.
    ///
    /// # Errors
    /// Where the file's content is not what its name says, or the system refuses.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::io("read", &path)(source)),
        };
        let actual = hash::of_bytes(&bytes);
        if actual != *digest {
            return Err(StoreError::Blob { path, actual });
        }
        Ok(Some(bytes))
    }

    /// Removes every blob but these.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn keep_only(&self, kept: &BTreeSet<Digest>) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.dir).map_err(StoreError::io("list", &self.dir))? {
            let path = entry.map_err(StoreError::io("list", &self.dir))?.path();
            let digest = path.file_name().and_then(|name| name.to_str()?.parse::<Digest>().ok());
            if digest.is_some_and(|digest| !kept.contains(&digest)) {
                disk::discard(&LocalDisk, &path);
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }
}
