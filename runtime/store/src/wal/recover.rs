//! Reading the log back after a crash: what is whole, what was torn, what is damaged.

use std::path::Path;

use domicile_types::RegionId;

use super::record::{Content, HEADER_BYTES as RECORD_HEADER_BYTES, Header, Place};
use super::{FileHeader, HEADER_BYTES, LogFile, damaged};
use crate::disk::{Disk, DiskFile};
use crate::{LogProblem, StoreError};

/// A record that was read back.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) place: Place,
    pub(crate) dataset: u32,
    pub(crate) content: Content,
    /// Offset in its file.
    pub(crate) offset: u64,
    /// Bytes of the record.
    pub(crate) bytes: u64,
}

/// A place in the log that cannot be read though later records can.
#[derive(Debug)]
pub(crate) struct Damage {
    /// The dataset whose rows are missing, by its mark; none where that cannot be told.
    pub(crate) dataset: Option<u32>,
    pub(crate) error: StoreError,
}

/// What became of reading a file.
#[derive(Debug)]
pub(crate) enum Replayed {
    /// It was read to its end.
    Read(Replay),
    /// Its header was never finished, and nothing was written behind it: a crash came while it was made.
    Unfinished,
    /// Its header is damaged, and with it all that it holds.
    Damaged(StoreError),
}

/// One file of the log, read to its end.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) header: FileHeader,
    pub(crate) damage: Vec<Damage>,
    /// The file, ready to be appended to; only for the last file of a log that is not damaged.
    pub(crate) file: LogFile,
    /// Bytes behind the last record that a crash left there.
    pub(crate) torn: bool,
    /// Where the last group of records starts.
    group: u64,
}

impl Replay {
    /// Whether anything was ever appended.
    pub(crate) fn is_used(&self) -> bool {
        self.torn || self.file.offset > HEADER_BYTES
    }
}

/// The offset at which the file before `path` ended, as `path` says once something was appended to it. A file that
/// nothing was appended to may be left from an attempt that failed, after which the file before was written on.
pub(crate) fn end_before(disk: &dyn Disk, path: &Path) -> Result<Option<u64>, StoreError> {
    let file = disk.open(path).map_err(StoreError::io("open", path))?;
    let glance = || {
        let size = file.size()?;
        let header = FileHeader::decode(&file.read_at(0, HEADER_BYTES.min(size) as usize)?);
        let used = is_written(file.as_ref(), HEADER_BYTES, size)?;
        Ok(header.filter(|_| used).map(|(header, _)| header.before_end))
    };
    glance().map_err(StoreError::io("read", path))
}

/// What is known of a file's end from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Durable {
    /// Where its records end: what lies behind was not taken for written.
    pub(crate) end: Option<u64>,
    /// Bytes of it that were durable; 0 where nobody knows.
    pub(crate) synced: u64,
}

/// Reads a file as far as it goes, and gives each record to `on_record`, in order. The file is not changed.
pub(crate) fn replay(
    disk: &dyn Disk,
    path: &Path,
    region: &RegionId,
    reserve: u64,
    durable: Durable,
    mut on_record: impl FnMut(Record) -> Result<(), StoreError>,
) -> Result<Replayed, StoreError> {
    let file = disk.open(path).map_err(StoreError::io("open", path))?;
    let reading = |source| StoreError::Io { action: "read", path: path.to_owned(), source };
    let size = file.size().map_err(reading)?;
    let head = file.read_at(0, HEADER_BYTES.min(size) as usize).map_err(reading)?;
    let Some((header, seed)) = FileHeader::decode(&head) else {
        // The header is durable before anything is appended.
        let used = is_written(file.as_ref(), HEADER_BYTES, size).map_err(reading)?;
        return Ok(if used { Replayed::Damaged(damaged(path, 0, LogProblem::Header)) } else { Replayed::Unfinished });
    };
    if header.region != *region {
        return Err(damaged(path, 0, LogProblem::Region { found: header.region.to_string() }));
    }
    let number = header.number;
    let log =
        LogFile { path: path.to_owned(), file, number, seed, offset: HEADER_BYTES, last: 0, reserve, dirty: false };
    let mut reader = Reader { log, size, durable, version: None, group: HEADER_BYTES, damage: Vec::new() };
    while let Some((next, record)) = reader.next().map_err(reading)? {
        on_record(record)?;
        reader.log.offset = next;
    }
    let torn = is_written(reader.log.file.as_ref(), reader.log.offset, size).map_err(reading)?;
    Ok(Replayed::Read(Replay { header, damage: reader.damage, file: reader.log, torn, group: reader.group }))
}

/// Makes a file's content what was read of it, durably, so that it can be appended to.
///
/// The torn end is cut off. The last group, and the header before a first one, is written once more: after a sync that
/// failed, the system shows bytes that no later sync writes, since it takes them for written.
pub(crate) fn mend(replay: &Replay) -> Result<(), StoreError> {
    let log = &replay.file;
    let start = if replay.group == HEADER_BYTES { 0 } else { replay.group };
    let mend = || {
        // A file may end within the zeros behind its last record, too.
        if replay.torn || log.file.size()? < log.offset {
            log.file.set_size(log.offset)?;
        }
        let written = log.file.read_at(start, (log.offset - start) as usize)?;
        log.file.write_at(start, &written)?;
        log.file.sync()
    };
    mend().map_err(StoreError::io("mend", &log.path))
}

/// What most of a log file is: reserved and not written yet.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Whether there are only zeros in bytes, which are at most as many as [`ZEROS`].
fn is_zero(bytes: &[u8]) -> bool {
    bytes == &ZEROS[..bytes.len()]
}

/// Whether there is anything but zeros from `start` to `end`.
fn is_written(file: &dyn DiskFile, mut start: u64, end: u64) -> std::io::Result<bool> {
    const STEP: u64 = 1024 * 1024;
    while start < end {
        let bytes = file.read_at(start, STEP.min(end - start) as usize)?;
        if bytes.chunks(ZEROS.len()).any(|chunk| !is_zero(chunk)) {
            return Ok(true);
        }
        start += STEP;
    }
    Ok(false)
}

struct Reader {
    log: LogFile,
    size: u64,
    durable: Durable,
    /// Version of the last record that was read.
    version: Option<u64>,
    /// Where its group starts.
    group: u64,
    damage: Vec<Damage>,
}

impl Reader {
    /// The record at the present offset, or, past damage, a later one; with the offset behind it.
    fn next(&mut self) -> std::io::Result<Option<(u64, Record)>> {
        let offset = self.log.offset;
        if self.durable.end.is_some_and(|end| end <= offset) {
            return Ok(None);
        }
        if let Some((header, content)) = self.record(offset)? {
            self.log.last = header.dataset;
            self.group = header.place.group;
            self.version = Some(header.place.version);
            let (place, dataset, bytes) = (header.place, header.dataset, header.record_bytes());
            return Ok(Some((offset + bytes, Record { place, dataset, content, offset, bytes })));
        }
        // A record of a later group was written after this place had been synced: it is damage, not a torn end.
        let whole = self.whole_behind(offset)?;
        if whole.is_none() && offset >= self.durable.synced {
            return Ok(None);
        }
        let error = damaged(&self.log.path, offset, LogProblem::Damaged);
        let behind = whole.unwrap_or(self.durable.synced);
        self.damage.push(Damage { dataset: self.lost(offset, behind)?, error });
        self.log.offset = self.durable.end.map_or(behind, |end| end.min(behind));
        self.next()
    }

    /// The dataset of the record at `offset` where it is the only one that cannot be read before `whole`.
    fn lost(&self, offset: u64, whole: u64) -> std::io::Result<Option<u32>> {
        if let Some(header) = self.header(offset)? {
            return Ok((offset + header.record_bytes() == whole).then_some(header.dataset));
        }
        let Some(behind) = self.header(whole)? else { return Ok(None) };
        let one = self.version.is_some_and(|version| behind.place.version == version + 2);
        Ok(one.then_some(behind.place.before))
    }

    fn header(&self, offset: u64) -> std::io::Result<Option<Header>> {
        if offset + RECORD_HEADER_BYTES as u64 > self.size {
            return Ok(None);
        }
        Ok(Header::read(&self.log.file.read_at(offset, RECORD_HEADER_BYTES)?, self.log.seed))
    }

    fn record(&self, offset: u64) -> std::io::Result<Option<(Header, Content)>> {
        let Some(header) = self.header(offset)? else { return Ok(None) };
        let start = offset + RECORD_HEADER_BYTES as u64;
        if header.place.group > offset || start + header.body_bytes() as u64 > self.size {
            return Ok(None);
        }
        let body = self.log.file.read_at(start, header.body_bytes())?;
        Ok(header.content(body, self.log.seed).map(|content| (header, content)))
    }

    /// The first whole record behind `offset`, provided that one of a later group follows.
    fn whole_behind(&self, offset: u64) -> std::io::Result<Option<u64>> {
        const STEP: u64 = 1024 * 1024;
        let mut first = None;
        let mut start = offset + 8;
        while start < self.size {
            let length = (STEP + RECORD_HEADER_BYTES as u64).min(self.size - start);
            let bytes = self.log.file.read_at(start, length as usize)?;
            let blocks = (0..bytes.len().min(STEP as usize)).step_by(ZEROS.len());
            let written =
                blocks.map(|at| at..bytes.len().min(at + ZEROS.len())).filter(|at| !is_zero(&bytes[at.clone()]));
            for at in written.flat_map(|block| block.step_by(8)) {
                let Some(header) = Header::read(&bytes[at..], self.log.seed) else { continue };
                let found = start + at as u64;
                if header.place.group > found || self.record(found)?.is_none() {
                    continue;
                }
                first = first.or(Some(found));
                if header.place.group > offset {
                    return Ok(first);
                }
            }
            start += STEP;
        }
        Ok(None)
    }
}
