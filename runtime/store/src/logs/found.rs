//! Finding entries again when a store opens.

use std::io;
use std::sync::Arc;

use domicile_types::Dot;

use super::{Logs, Place};
use crate::manifest::State;
use crate::wal::{self, Record, Replayed, Use};
use crate::{StoreError, StoreParts};

/// Recognizes the entries among the records of a log, in the order of the records.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    carried: Option<Carried>,
}

/// An entry instead of whose rows those of the record that follows count.
#[derive(Debug)]
struct Carried {
    dot: Dot,
    offset: u64,
    bytes: u64,
    has_rows: bool,
}

impl Finder {
    /// Where an entry lies that counts; none where the record is none, or only comes with the next one to count.
    pub(crate) fn place(&mut self, file: u64, record: &Record) -> Option<Place> {
        let mark = record.content.mark.clone()?;
        let carried = self.carried.take().filter(|carried| carried.dot == mark.dot);
        let rows = u64::from(record.content.body.rows);
        let mut count = u64::from(record.content.body.rows);
        let (offset, bytes, has_rows) = match (record.place.used, carried) {
            (Use::Kept, _) => {
                count = u64::from(record.place.epoch);
                (record.offset, record.bytes, rows > 0)
            }
            (Use::Rows, _) => (record.offset, record.bytes, rows > 0),
            (Use::Instead, Some(carried)) => (carried.offset, carried.bytes, carried.has_rows),
            (Use::Instead, None) => return None,
            (Use::Carried, _) => {
                let (offset, bytes) = (record.offset, record.bytes);
                self.carried = Some(Carried { dot: mark.dot, offset, bytes, has_rows: rows > 0 });
                return None;
            }
        };
        let dataset = record.content.body.description().ok()?.dataset.parse().ok()?;
        let (local_hlc, first_seq) = (record.place.hlc, record.place.first_seq);
        Some(Place { mark: Arc::new(mark), dataset, file, offset, bytes, local_hlc, first_seq, rows: count, has_rows })
    }
}

/// Looks through the log files whose rows are in segments for entries that may still be needed: the last ones, without
/// gaps.
pub(crate) fn retained(parts: &StoreParts, state: &State, logs: &mut Logs) -> Result<(), StoreError> {
    let (disk, dir) = (parts.disk.as_ref(), parts.wal_dir());
    let files = disk.list(&dir).map_err(StoreError::io("list", &dir))?;
    let mut numbers: Vec<u64> = files.iter().filter_map(|file| wal::number_of(file)).collect();
    numbers.retain(|number| *number < state.replay_from);
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let kept = (0..state.replay_from).rev().zip(&numbers).take_while(|(due, number)| due == *number).count();
    let mut finder = Finder::default();
    for number in numbers[..kept].iter().rev() {
        let end = match wal::end_before(disk, &wal::path(&dir, *number + 1)) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            end => end?,
        };
        let (durable, path) = (wal::Durable { end, synced: 0 }, wal::path(&dir, *number));
        let on_record = |record: Record| {
            let is_kept = record.place.used == Use::Kept;
            finder.place(*number, &record).into_iter().for_each(|place| logs.found(place, is_kept));
            Ok(())
        };
        let read = wal::replay(disk, &path, &parts.region, parts.sizes.log_file_bytes, durable, on_record)?;
        if !matches!(&read, Replayed::Read(replay) if replay.damage.is_empty()) {
            tracing::error!(path = %path.display(), "entries of replication sets cannot be read any more");
        }
    }
    Ok(())
}
