//! Reading entries back, to give them to other regions.

use std::path::PathBuf;
use std::sync::Arc;

use domicile_types::{Dot, Mark, Origin, RegionId, SetName, Vector};

use super::{Entry, Place};
use crate::disk::{Disk, DiskFile};
use crate::wal::record::{Content, HEADER_BYTES, Header};
use crate::wal::{self, FileHeader};
use crate::{LogProblem, Store, StoreError};

/// Entries that were found, to be read on any thread.
#[derive(Debug)]
pub struct Located {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    places: Vec<Place>,
    /// Whether there are more that were wanted.
    pub more: bool,
}

impl Store {
    /// The entries of a set that count here and are not in `have`, in the order in which they came to count, as far as
    /// `bytes_max` goes, but at least one; only of the logs of `regions`, where some are named.
    ///
    /// An entry comes after those that it follows, or these are in `have` or in the log of another region.
    ///
    /// # Errors
    /// Where some of them are not kept any more: who wants them has to start from a snapshot.
    pub fn locate(
        &self,
        set: &SetName,
        have: &Vector,
        regions: &[RegionId],
        bytes_max: u64,
    ) -> Result<Located, StoreError> {
        let is_wanted = |origin: &Origin| regions.is_empty() || regions.contains(&origin.region);
        let (mut places, mut bytes, mut more) = (Vec::new(), 0, false);
        let state = self.logs.state(set);
        let nothing = !state.applied.iter().any(|(origin, seq)| is_wanted(origin) && have.get(origin) < seq);
        let mut next = have.clone();
        for place in self.logs.places(set).filter(|_| !nothing) {
            let dot = &place.mark.dot;
            if !is_wanted(&dot.origin) || have.contains(dot) {
                continue;
            }
            if next.get(&dot.origin) + 1 != dot.seq {
                return Err(StoreError::EntriesGone { set: set.clone(), origin: dot.origin.clone() });
            }
            if bytes > 0 && bytes + place.bytes > bytes_max {
                more = true;
                break;
            }
            bytes += place.bytes;
            next.advance(&dot.origin, dot.seq);
            places.push(place.clone());
        }
        let gone = state.applied.iter().find(|(origin, seq)| !more && is_wanted(origin) && next.get(origin) < *seq);
        if let Some((origin, _)) = gone {
            return Err(StoreError::EntriesGone { set: set.clone(), origin: origin.clone() });
        }
        Ok(Located { disk: Arc::clone(&self.parts.disk), dir: self.parts.wal_dir(), places, more })
    }
}

impl Store {
    /// Certain entries of a set, as far as they are kept.
    pub fn find(&self, set: &SetName, dots: &[Dot]) -> Located {
        let places = self.logs.places(set).filter(|place| dots.contains(&place.mark.dot)).cloned().collect();
        Located { disk: Arc::clone(&self.parts.disk), dir: self.parts.wal_dir(), places, more: false }
    }
}

impl Located {
    /// Entries that lie at these places.
    pub(crate) fn of(disk: &Arc<dyn Disk>, dir: &std::path::Path, places: Vec<Place>) -> Self {
        Self { disk: Arc::clone(disk), dir: dir.to_owned(), places, more: false }
    }

    /// How many entries were found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no entry was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The marks of the entries.
    pub fn marks(&self) -> impl Iterator<Item = &Arc<Mark>> {
        self.places.iter().map(|place| &place.mark)
    }

    /// Reads the entries.
    ///
    /// # Errors
    /// Where the disk fails, or has other bytes than were written.
    pub fn read(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::with_capacity(self.places.len());
        let mut open: Option<LogReader> = None;
        for place in &self.places {
            if open.as_ref().is_none_or(|reader| reader.number != place.file) {
                open = Some(LogReader::open(self.disk.as_ref(), &self.dir, place.file)?);
            }
            if let Some(reader) = &open {
                entries.push(reader.entry(place)?);
            }
        }
        Ok(entries)
    }
}

/// A log file that entries are read from.
struct LogReader {
    number: u64,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    seed: u32,
}

impl LogReader {
    fn open(disk: &dyn Disk, dir: &std::path::Path, number: u64) -> Result<Self, StoreError> {
        let path = wal::path(dir, number);
        let file = disk.open(&path).map_err(StoreError::io("open", &path))?;
        let head = file.read_at(0, wal::HEADER_BYTES as usize).map_err(StoreError::io("read", &path))?;
        let (_, seed) = FileHeader::decode(&head).ok_or_else(|| wal::damaged(&path, 0, LogProblem::Header))?;
        Ok(Self { number, path, file, seed })
    }

    fn entry(&self, place: &Place) -> Result<Entry, StoreError> {
        let bytes = usize::try_from(place.bytes).unwrap_or(usize::MAX);
        let bytes = self.file.read_at(place.offset, bytes).map_err(StoreError::io("read", &self.path))?;
        let damaged = || wal::damaged(&self.path, place.offset, LogProblem::Damaged);
        let header = Header::read(&bytes, self.seed).ok_or_else(damaged)?;
        let end = HEADER_BYTES + header.body_bytes();
        if end > bytes.len() {
            return Err(damaged());
        }
        let Content { mark, body } = header.content(bytes.slice(HEADER_BYTES..end), self.seed).ok_or_else(damaged)?;
        match mark {
            Some(mark) if mark == *place.mark => Ok(Entry { mark: Arc::clone(&place.mark), body }),
            _ => Err(damaged()),
        }
    }
}
