//! The way of batches to the store: how many come at a time, in which order, and where their rows wait meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domicile_store::{Batch, Format, Prepared, Preparer, Source, Store, StoreError};
use domicile_types::limits::{CONCURRENT_LOADS_MAX, DATASET_LOADS_MAX, KEPT_LOADS_MAX};
use domicile_types::{Dataset, DatasetName};
use domicile_wire::client::now_unix_ms;
use tempfile::TempPath;
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::QueryError;
use crate::owner::OwnerGone;

/// Bytes of a body that are copied at a time.
const COPY_BYTES: usize = 256 * 1024;

/// Prepares batches.
///
/// Nobody waits for a turn or for room while holding a place, so what holds one always comes to an end.
#[derive(Debug)]
pub(crate) struct Loads {
    preparer: Preparer,
    /// Bounds the batches that are read or prepared.
    places: Arc<Semaphore>,
    lanes: BTreeMap<DatasetName, Lane>,
    /// Where rows are kept that have to wait, or cannot be read as they come.
    incoming: PathBuf,
}

/// The batches of one dataset.
#[derive(Debug)]
struct Lane {
    /// Bounds all of them.
    under_way: Semaphore,
    /// Where they have to come one after the other.
    turns: Option<Turns>,
}

#[derive(Debug)]
struct Turns {
    /// Bounds the files that wait for their turn.
    room: Semaphore,
    turn: Mutex<()>,
}

/// A batch that can be committed, and what it holds until it is.
pub(crate) struct Ready<'l> {
    pub(crate) prepared: Prepared,
    pub(crate) holds: Holds<'l>,
}

pub(crate) struct Holds<'l> {
    _under_way: SemaphorePermit<'l>,
    _turn: Option<(SemaphorePermit<'l>, MutexGuard<'l, ()>)>,
    _place: OwnedSemaphorePermit,
}

impl Lane {
    fn new(dataset: &Dataset) -> Self {
        let turns = Turns { room: Semaphore::new(KEPT_LOADS_MAX), turn: Mutex::new(()) };
        Self { under_way: Semaphore::new(DATASET_LOADS_MAX), turns: dataset.rows_may_move().then_some(turns) }
    }
}

impl Loads {
    /// Prepares batches for `store`. `incoming` is a directory of its own for rows on their way.
    pub(crate) fn new(store: &Store, incoming: PathBuf) -> Self {
        let reader = store.reader();
        let datasets = reader.specs().iter().map(|spec| &spec.dataset);
        Self {
            preparer: store.preparer(),
            places: Arc::new(Semaphore::new(CONCURRENT_LOADS_MAX)),
            lanes: datasets.map(|dataset| (dataset.name.clone(), Lane::new(dataset))).collect(),
            incoming,
        }
    }

    /// Prepares a batch on a thread for blocking work, once there is a place for it and its turn has come.
    ///
    /// # Errors
    /// Where too many batches of its dataset are under way, it is refused, or the store fails.
    pub(crate) async fn prepare(&self, batch: Batch, source: Source) -> Result<Ready<'_>, QueryError> {
        let known = self.lanes.keys().map(DatasetName::as_str);
        let lane = self.lanes.get(&batch.dataset);
        let lane = lane.ok_or_else(|| QueryError::unknown("dataset", batch.dataset.as_str(), known))?;
        let under_way = lane.under_way.try_acquire();
        let busy = |_| QueryError::Busy { dataset: batch.dataset.clone(), max: DATASET_LOADS_MAX };
        let under_way = under_way.map_err(busy)?;
        let Some(turns) = &lane.turns else {
            let mut rows = (source, None, self.place().await?);
            if batch.format == Format::Parquet {
                rows = self.keep(rows.0, rows.2).await?;
            }
            let (source, _file, place) = rows;
            let (prepared, place) = self.prepare_now(batch, source, place).await?;
            return Ok(Ready { prepared, holds: Holds { _under_way: under_way, _turn: None, _place: place } });
        };
        let room = turns.room.acquire().await.map_err(|_| OwnerGone)?;
        // A sender that is slow must not keep the others out: its rows are here before its turn comes.
        let (source, _file, place) = self.keep(source, self.place().await?).await?;
        drop(place);
        let turn = turns.turn.lock().await;
        let (prepared, place) = self.prepare_now(batch, source, self.place().await?).await?;
        let turn = Some((room, turn));
        Ok(Ready { prepared, holds: Holds { _under_way: under_way, _turn: turn, _place: place } })
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, OwnerGone> {
        Arc::clone(&self.places).acquire_owned().await.map_err(|_| OwnerGone)
    }

    async fn prepare_now(
        &self,
        batch: Batch,
        source: Source,
        place: OwnedSemaphorePermit,
    ) -> Result<(Prepared, OwnedSemaphorePermit), QueryError> {
        let preparer = self.preparer.clone();
        let (prepared, place) = blocking(place, move || preparer.prepare(batch, source, now_unix_ms())).await?;
        Ok((prepared?, place))
    }

    /// The rows in a file, which goes when the second value is dropped.
    async fn keep(
        &self,
        source: Source,
        place: OwnedSemaphorePermit,
    ) -> Result<(Source, Option<TempPath>, OwnedSemaphorePermit), QueryError> {
        let Source::Stream(mut stream) = source else { return Ok((source, None, place)) };
        let dir = self.incoming.clone();
        let (path, place) = blocking(place, move || in_file(&mut stream, &dir)).await?;
        let path = path?;
        Ok((Source::File(path.to_path_buf()), Some(path), place))
    }
}

/// Runs work that waits. Its place goes with it: where the caller gives up, the work may go on for a while.
async fn blocking<R: Send + 'static>(
    place: OwnedSemaphorePermit,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<(R, OwnedSemaphorePermit), QueryError> {
    let done = tokio::task::spawn_blocking(move || (work(), place)).await;
    done.map_err(|error| QueryError::Execution(error.to_string()))
}

fn in_file(stream: &mut dyn Read, dir: &Path) -> Result<TempPath, StoreError> {
    let failed = |source| StoreError::Io { action: "keep rows in", path: dir.to_owned(), source };
    let path = tempfile::NamedTempFile::new_in(dir).map_err(failed)?.into_temp_path();
    let mut file = File::create(&path).map_err(failed)?;
    copy(stream, &mut file, dir)?;
    Ok(path)
}

/// Copies what comes, and tells a sender that broke off from a disk that failed.
fn copy(from: &mut dyn Read, to: &mut dyn Write, dir: &Path) -> Result<(), StoreError> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(StoreError::Source { source }),
        };
        let written = to.write_all(&buffer[..length]);
        written.map_err(|source| StoreError::Io { action: "keep rows in", path: dir.to_owned(), source })?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct BreaksOff;

    impl Read for BreaksOff {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }

    #[test]
    fn a_full_disk_is_not_the_senders_fault() {
        let dir = Path::new("incoming");
        let full = copy(&mut &b"rows"[..], &mut Full, dir);
        assert!(full.as_ref().is_err_and(StoreError::is_storage_full), "{full:?}");
        let broken = copy(&mut BreaksOff, &mut Full, dir);
        assert!(matches!(broken, Err(StoreError::Source { .. })), "{broken:?}");
        let mut kept = Vec::new();
        assert!(copy(&mut &b"rows"[..], &mut kept, dir).is_ok());
        assert_eq!(kept, b"rows");
    }
}
