//! The region that fetches: files of a snapshot, each under the name of its content once it is whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use domicile_types::{Digest, Origin, SetName};
use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::list::File;
use super::{BootstrapProblem, OfferList};
use crate::disk::{self, Disk, DiskFile};
use crate::hash::Hashing;
use crate::{Store, StoreError};

const DIR: &str = "staging";
/// The file that says which life the region is about to begin.
const LIFE: &str = "LIFE";
/// Bytes that are read at a time.
const READ_BYTES: u64 = 1024 * 1024;

/// A snapshot that is being fetched.
pub struct Staging {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    pub(crate) list: OfferList,
    /// Files that are not whole here, and their bytes.
    missing: BTreeMap<Digest, u64>,
    open: Option<Open>,
}

/// What is to be fetched next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Which file.
    pub file: Digest,
    /// From where on.
    pub offset: u64,
}

/// The file that is being written.
struct Open {
    digest: Digest,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    offset: u64,
    hashing: Hashing,
}

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staging")
            .field("set", &self.list.set)
            .field("missing", &self.missing.len())
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LifeText {
    set: String,
    epoch: u32,
}

impl Store {
    /// The life that this region was about to begin in a set, where it did not come to that.
    ///
    /// # Errors
    /// Where the disk cannot be read.
    pub fn staged_life(&self, set: &SetName) -> Result<Option<Origin>, StoreError> {
        let path = self.staging(set).join(LIFE);
        let Some(text) = disk::read(self.parts.disk.as_ref(), &path)? else { return Ok(None) };
        let text: Option<LifeText> = serde_json::from_slice(&text).ok();
        let epoch = text.filter(|text| text.set == set.as_str()).map(|text| text.epoch);
        let life = epoch.map(|epoch| Origin { region: self.parts.region.clone(), epoch });
        Ok(life.filter(|life| *life != self.origin()))
    }

    /// Begins to fetch a snapshot, or goes on with it. What is here already is not fetched again; what the snapshot does
    /// not have is removed.
    ///
    /// # Errors
    /// Where the list is none, is not for this region, or the disk fails.
    pub fn stage(&self, list: &[u8]) -> Result<Staging, StoreError> {
        let list = OfferList::decode(list)?;
        if list.life.region != self.parts.region {
            return Err(BootstrapProblem::Misfit { set: list.set }.into());
        }
        let (disk, dir) = (Arc::clone(&self.parts.disk), self.staging(&list.set));
        disk.create_dir(&dir).map_err(StoreError::io("create", &dir))?;
        let life = LifeText { set: list.set.to_string(), epoch: list.life.epoch };
        let text = serde_json::to_vec(&life).map_err(StoreError::encoding)?;
        let path = dir.join(LIFE);
        let temporary = disk::write_temporary(disk.as_ref(), &path, &text)?;
        disk::publish(disk.as_ref(), &temporary, &path)?;
        let (mut missing, mut open) = (list.files(), None);
        for path in disk.list(&dir).map_err(StoreError::io("list", &dir))? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name == LIFE {
                continue;
            }
            let wanted = |digest: Digest| Some((digest, *missing.get(&digest)?));
            let whole = name.parse::<Digest>().ok().and_then(wanted);
            let begun = name.strip_suffix(".tmp").and_then(|name| name.parse().ok()).and_then(wanted);
            match (whole, begun) {
                (Some((digest, bytes)), _) if is_whole(disk.as_ref(), &path, &digest, bytes)? => {
                    missing.remove(&digest);
                }
                (None, Some((digest, bytes))) if open.is_none() => {
                    open = Open::again(disk.as_ref(), &path, digest, bytes)?
                }
                _ => disk::discard(disk.as_ref(), &path),
            }
        }
        Ok(Staging { disk, dir, list, missing, open })
    }

    fn staging(&self, set: &SetName) -> PathBuf {
        self.parts.dir.join(DIR).join(set.as_str())
    }

    /// Removes all that was fetched of a set.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn clear_staging(&self, set: &SetName) -> Result<(), StoreError> {
        let (disk, dir) = (&self.parts.disk, self.staging(set));
        disk.create_dir(&dir).map_err(StoreError::io("create", &dir))?;
        let files = disk.list(&dir).map_err(StoreError::io("list", &dir))?;
        files.iter().for_each(|file| disk::discard(disk.as_ref(), file));
        Ok(())
    }
}

fn is_whole(disk: &dyn Disk, path: &Path, digest: &Digest, bytes: u64) -> Result<bool, StoreError> {
    let file = disk.open(path).map_err(StoreError::io("open", path))?;
    if file.size().map_err(StoreError::io("inspect", path))? != bytes {
        return Ok(false);
    }
    Ok(hashed(file.as_ref(), path, bytes)?.finish() == *digest)
}

fn hashed(file: &dyn DiskFile, path: &Path, bytes: u64) -> Result<Hashing, StoreError> {
    let (mut hashing, mut offset) = (Hashing::default(), 0);
    while offset < bytes {
        let length = READ_BYTES.min(bytes - offset);
        hashing.update(&file.read_at(offset, length as usize).map_err(StoreError::io("read", path))?);
        offset += length;
    }
    Ok(hashing)
}

impl Open {
    /// The file as an earlier process left it; none where it has nothing to go on with. Where its beginning is not what
    /// was fetched, that shows in the end.
    fn again(disk: &dyn Disk, path: &Path, digest: Digest, bytes: u64) -> Result<Option<Self>, StoreError> {
        let file = disk.open(path).map_err(StoreError::io("open", path))?;
        let offset = file.size().map_err(StoreError::io("inspect", path))?;
        if offset == 0 || offset >= bytes {
            disk::discard(disk, path);
            return Ok(None);
        }
        let hashing = hashed(file.as_ref(), path, offset)?;
        Ok(Some(Self { digest, path: path.to_owned(), file, offset, hashing }))
    }
}

impl Staging {
    /// The replication set.
    #[must_use]
    pub fn set(&self) -> &SetName {
        &self.list.set
    }

    /// The log that this region will write.
    #[must_use]
    pub fn life(&self) -> &Origin {
        &self.list.life
    }

    /// What is to be fetched next; none where all is here.
    #[must_use]
    pub fn want(&self) -> Option<Want> {
        if let Some(open) = &self.open {
            return Some(Want { file: open.digest, offset: open.offset });
        }
        self.missing.keys().next().map(|file| Want { file: *file, offset: 0 })
    }

    /// Bytes that are not here yet.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.missing.values().sum::<u64>() - self.open.as_ref().map_or(0, |open| open.offset)
    }

    /// Takes a part of a file in, where it is the one that is wanted. A file that turns out to be damaged is fetched
    /// anew; says whether that is so.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn put(&mut self, want: Want, bytes: &Bytes) -> Result<bool, StoreError> {
        if self.want() != Some(want) || bytes.is_empty() {
            return Ok(true);
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let path = disk::temporary(&self.dir.join(want.file.to_string()));
                let file = self.disk.create(&path).map_err(StoreError::io("create", &path))?;
                Open { digest: want.file, path, file, offset: 0, hashing: Hashing::default() }
            }
        };
        let whole = self.missing.get(&open.digest).copied().unwrap_or_default();
        let room = usize::try_from(whole - open.offset).unwrap_or(usize::MAX);
        let bytes = bytes.slice(..bytes.len().min(room));
        open.file.write_at(open.offset, &bytes).map_err(StoreError::io("write", &open.path))?;
        open.hashing.update(&bytes);
        open.offset += bytes.len() as u64;
        if open.offset < whole {
            self.open = Some(open);
            return Ok(true);
        }
        self.finish(open)
    }

    fn finish(&mut self, open: Open) -> Result<bool, StoreError> {
        let Open { digest, path, file, hashing, .. } = open;
        if hashing.finish() != digest {
            disk::discard(self.disk.as_ref(), &path);
            return Ok(false);
        }
        file.sync().map_err(StoreError::io("sync", &path))?;
        disk::publish(self.disk.as_ref(), &path, &self.path(&digest))?;
        self.missing.remove(&digest);
        Ok(true)
    }

    /// Where a whole file is.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }

    /// Gives each of the entries that came with the snapshot, in order.
    pub(crate) fn each_entry(
        &self,
        mut on_entry: impl FnMut(Kept) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let File { sha256, bytes } = &self.list.content.entries;
        let path = self.path(sha256);
        let (mut offset, mut rest) = (0, Bytes::new());
        while offset < *bytes {
            let file = self.disk.open(&path).map_err(StoreError::io("open", &path))?;
            let length = READ_BYTES.min(bytes - offset);
            let more = file.read_at(offset, length as usize).map_err(StoreError::io("read", &path))?;
            offset += length;
            rest = [rest, more].concat().into();
            while let Ok((kept, behind)) = Kept::decode(&rest) {
                rest = behind;
                on_entry(kept)?;
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(StoreError::NoEntry) }
    }

    /// Refuses a snapshot of which a file is missing, or was damaged since it was fetched; that one is fetched anew.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        for (digest, bytes) in self.list.files() {
            if !self.missing.contains_key(&digest)
                && !is_whole(self.disk.as_ref(), &self.path(&digest), &digest, bytes)?
            {
                self.missing.insert(digest, bytes);
            }
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(BootstrapProblem::Unfinished { set: self.list.set.clone() }.into())
    }
}
