//! A journal: an append-only file of one record a line, durable when an append returns.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use domicile_types::limits;

use crate::disk;
use crate::{Disk, LocalDisk, StoreError};

/// An append-only file of records, held by its only writer. What a record means is the caller's business.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
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
        lock(&file, path)?;
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
        Ok(Self { path: path.to_owned(), file, bytes: whole_bytes, poisoned: false })
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
        self.bytes += line.len() as u64;
        self.poisoned = false;
        Ok(())
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts other records in the place of all that there are. After a crash there are the former or the latter.
    ///
    /// # Errors
    /// As [`Journal::append`], or where one of the records is an error. The former records stay then, unless the
    /// journal refuses further appends.
    pub fn replace(
        &mut self,
        records: impl IntoIterator<Item = Result<Vec<u8>, StoreError>>,
    ) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned { path: self.path.clone() });
        }
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let temporary = PathBuf::from(name);
        let file = File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
        // Whoever opens it once it has its name finds it taken.
        lock(&file, &temporary)?;
        let mut writer = BufWriter::new(file);
        let mut bytes = 0;
        for record in records {
            let line = [&record?[..], b"\n"].concat();
            writer.write_all(&line).map_err(StoreError::io("write", &temporary))?;
            bytes += line.len() as u64;
        }
        let file = writer.into_inner().map_err(|e| StoreError::io("write", &temporary)(e.into_error()))?;
        file.sync_all().map_err(StoreError::io("sync", &temporary))?;
        self.poisoned = true;
        LocalDisk.rename(&temporary, &self.path).map_err(StoreError::io("rename to", &self.path))?;
        let dir = disk::parent(&self.path);
        LocalDisk.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
        (self.file, self.bytes, self.poisoned) = (file, bytes, false);
        Ok(())
    }
}

fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::io("lock", path)(source)),
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
