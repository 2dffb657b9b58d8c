//! A journal: an append-only file of one record a line, durable when an append returns.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use domicile_types::limits;

use crate::disk;
use crate::{Disk, LocalDisk, StoreError};

/// An append-only file of records, held by its only writer. What a record means is the caller's business.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Set once an append failed: the end of the file is unknown then.
    poisoned: bool,
}

impl Journal {
    /// Opens a journal, or makes an empty one, and gives its records. A last line that a crash left unfinished is cut
    /// off.
    ///
    /// # Errors
    /// Where another process has the journal open, a line is longer than [`limits::JOURNAL_RECORD_BYTES_MAX`], or
    /// the system refuses.
    pub fn open(path: &Path) -> Result<(Self, Vec<Vec<u8>>), StoreError> {
        let mut records = Vec::new();
        let journal = Self::open_each(path, |record| records.push(record.to_vec()))?;
        Ok((journal, records))
    }

    /// [`Journal::open`] for journals that are too long to hold: calls `on_record` with each record in order.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_each(path: &Path, mut on_record: impl FnMut(&[u8])) -> Result<Self, StoreError> {
        let mut file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(StoreError::io("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", path)(source)),
        }
        let dir = disk::parent(path);
        LocalDisk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
        let mut whole_bytes = 0;
        for record in Records::open(path)? {
            let record = record?;
            whole_bytes += record.len() as u64 + 1;
            on_record(&record);
        }
        let length = file.metadata().map_err(StoreError::io("inspect", path))?.len();
        if length > whole_bytes {
            tracing::warn!(path = %path.display(), bytes = length - whole_bytes, "cut off an unfinished last record");
            file.set_len(whole_bytes).and_then(|()| file.sync_all()).map_err(StoreError::io("truncate", path))?;
        }
        file.seek(SeekFrom::Start(whole_bytes)).map_err(StoreError::io("seek", path))?;
        Ok(Self { path: path.to_owned(), file, poisoned: false })
    }

    /// Appends a record; it is durable when this returns.
    ///
    /// # Errors
    /// Where the record has a line break or is longer than [`limits::JOURNAL_RECORD_BYTES_MAX`], or the system
    /// refuses. After the latter the record may or may not be there, and every further append is refused until the
    /// journal is opened again.
    pub fn append(&mut self, record: &[u8]) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned { path: self.path.clone() });
        }
        if record.len() > limits::JOURNAL_RECORD_BYTES_MAX || record.contains(&b'\n') {
            return Err(StoreError::Record { max: limits::JOURNAL_RECORD_BYTES_MAX, actual: record.len() });
        }
        let line = [record, b"\n"].concat();
        self.poisoned = true;
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(StoreError::io("append to", &self.path))?;
        self.poisoned = false;
        Ok(())
    }
}

/// The records of a journal, one at a time; an unfinished last line is not one. Reading needs no lock, so a journal
/// can be read while its writer goes on.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    reader: BufReader<File>,
}

impl Records {
    /// The records of the journal in `path`, from the first on.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file) })
    }
}

impl Iterator for Records {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let longest = limits::JOURNAL_RECORD_BYTES_MAX + 1;
        let read = self.reader.by_ref().take(longest as u64).read_until(b'\n', &mut line);
        if let Err(source) = read {
            return Some(Err(StoreError::io("read", &self.path)(source)));
        }
        if line.pop_if(|last| *last == b'\n').is_some() {
            return Some(Ok(line));
        }
        if line.len() == longest {
            return Some(Err(StoreError::Record { max: limits::JOURNAL_RECORD_BYTES_MAX, actual: line.len() }));
        }
        None
    }
}
