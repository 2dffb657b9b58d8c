//! Which version of a row is the newest: the hidden columns that say so, and the clock that hands them out.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, SchemaRef};
use domicile_types::{Hlc, RegionId};

use crate::StoreError;

/// Hidden column: the moment of the version, a hybrid logical clock. The newest version of a row counts.
pub const HLC_COLUMN: &str = "_hlc";
/// Hidden column: the version's number among all that its writer wrote, from 1.
pub const SEQ_COLUMN: &str = "_seq";
/// Hidden column: the region that wrote the version.
pub const ORIGIN_COLUMN: &str = "_origin";
/// Hidden column: how often the writer's store had been restored from a backup.
pub const EPOCH_COLUMN: &str = "_epoch";
/// Hidden column: what the version is, [`OP_ROW`] or [`OP_TOMBSTONE`].
pub const OP_COLUMN: &str = "_op";

/// A row.
pub const OP_ROW: u8 = 0;
/// The mark of a deleted row: only its key counts.
pub const OP_TOMBSTONE: u8 = 1;

/// The columns that order the versions of a row: later ones compare greater, and no two are equal.
pub const VERSION_COLUMNS: [&str; 4] = [HLC_COLUMN, ORIGIN_COLUMN, EPOCH_COLUMN, SEQ_COLUMN];

/// The hidden columns, in their order at the end of a stored schema.
pub(crate) fn hidden_fields() -> [Field; 5] {
    let origin = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    [
        Field::new(HLC_COLUMN, DataType::UInt64, false),
        Field::new(SEQ_COLUMN, DataType::UInt64, false),
        Field::new(ORIGIN_COLUMN, origin, false),
        Field::new(EPOCH_COLUMN, DataType::UInt32, false),
        Field::new(OP_COLUMN, DataType::UInt8, false),
    ]
}

/// What the rows of one batch have in common, and the number of the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) hlc: Hlc,
    pub(crate) origin: RegionId,
    pub(crate) epoch: u32,
    pub(crate) first_seq: u64,
}

impl Stamp {
    /// `rows` in the stored schema but for the version columns, with these: its last column is the operation.
    pub(crate) fn apply(&self, rows: &RecordBatch, stored: &SchemaRef) -> Result<RecordBatch, StoreError> {
        let count = rows.num_rows();
        let declared = rows.num_columns() - 1;
        let origin = DictionaryArray::new(
            Int32Array::from(vec![0; count]),
            Arc::new(StringArray::from(vec![self.origin.as_str()])) as ArrayRef,
        );
        let seqs = UInt64Array::from_iter_values((self.first_seq..).take(count));
        let versions: [ArrayRef; 4] = [
            Arc::new(UInt64Array::from(vec![self.hlc.0; count])),
            Arc::new(seqs),
            Arc::new(origin),
            Arc::new(UInt32Array::from(vec![self.epoch; count])),
        ];
        let columns = rows.columns()[..declared].iter().cloned().chain(versions);
        Ok(RecordBatch::try_new(Arc::clone(stored), columns.chain([Arc::clone(rows.column(declared))]).collect())?)
    }
}

/// A moment that was handed out for rows which are not visible yet. Dropping it says that they are, or never will be.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) hlc: Hlc,
    sequencer: Arc<Sequencer>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.sequencer.flights().remove(&self.hlc);
    }
}

/// Hands out moments and numbers to everything that writes into one store, from any thread.
#[derive(Debug)]
pub(crate) struct Sequencer {
    hlc: AtomicU64,
    next_seq: AtomicU64,
    next_segment: AtomicU64,
    /// Moments of rows that may become visible later than rows of later moments.
    flights: Mutex<BTreeSet<Hlc>>,
    pub(crate) origin: RegionId,
    epoch: AtomicU32,
}

impl Sequencer {
    /// Goes on after `hlc`, with the row `next_seq` and the segment `next_segment`.
    pub(crate) fn new(origin: RegionId, epoch: u32, hlc: Hlc, next_seq: u64, next_segment: u64) -> Self {
        let (next_seq, next_segment) = (AtomicU64::new(next_seq), AtomicU64::new(next_segment));
        let flights = Mutex::default();
        Self { hlc: AtomicU64::new(hlc.0), next_seq, next_segment, flights, origin, epoch: AtomicU32::new(epoch) }
    }

    /// A number that no segment had.
    pub(crate) fn segment_id(&self) -> u64 {
        self.next_segment.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn next_segment(&self) -> u64 {
        self.next_segment.load(Ordering::SeqCst)
    }

    /// The next moment, at the physical time `now_ms`.
    pub(crate) fn tick(&self, now_ms: u64) -> Hlc {
        let mut next = Hlc::default();
        // The closure never declines, so the update cannot fail.
        let _ = self.hlc.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| {
            next = Hlc(last).next(now_ms);
            Some(next.0)
        });
        next
    }

    /// Lets later moments be after one that another region gave out.
    pub(crate) fn observe(&self, hlc: Hlc) {
        self.hlc.fetch_max(hlc.0, Ordering::SeqCst);
    }

    /// The next moment, for rows that are committed some time later.
    pub(crate) fn take_off(self: &Arc<Self>, now_ms: u64) -> Flight {
        // Under the lock, so that no one sees a moment handed out and not in flight.
        let mut flights = self.flights();
        let hlc = self.tick(now_ms);
        flights.insert(hlc);
        Flight { hlc, sequencer: Arc::clone(self) }
    }

    /// The oldest moment in flight. Rows that take off from now on are newer than all that is visible.
    pub(crate) fn oldest_flight(&self) -> Option<Hlc> {
        self.flights().first().copied()
    }

    fn flights(&self) -> MutexGuard<'_, BTreeSet<Hlc>> {
        // The set is whole after every step, so a poisoned lock is still good.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stamp for `rows` rows of the moment `hlc`.
    pub(crate) fn stamp(&self, hlc: Hlc, rows: usize) -> Stamp {
        let first_seq = self.next_seq.fetch_add(rows as u64, Ordering::SeqCst);
        Stamp { hlc, origin: self.origin.clone(), epoch: self.epoch(), first_seq }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// From now on writes under another epoch, with numbers from `next_seq` on.
    pub(crate) fn begin(&self, epoch: u32, next_seq: u64) {
        self.epoch.store(epoch, Ordering::SeqCst);
        self.next_seq.fetch_max(next_seq, Ordering::SeqCst);
    }

    pub(crate) fn hlc(&self) -> Hlc {
        Hlc(self.hlc.load(Ordering::SeqCst))
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq.load(Ordering::SeqCst)
    }
}
