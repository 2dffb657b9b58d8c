//! Reads a dataset out of a store, without the store's own merging.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt8Type, UInt64Type};
use domicile_store::{HLC_COLUMN, OP_COLUMN, SEQ_COLUMN, Snapshot, Store, StoreError};
use domicile_sync::CONFLICTS;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::tables::{ADDED, COLUMNS, EVENT, PERSON, dataset};

/// `_hlc` and `_seq` of a row.
type Stamp = (u64, u64);
/// The columns of a row but for its key.
type Values = [i64; 2];
/// These, and what is in the further column.
type Row = (Values, Option<i64>);

/// What a region has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Visible {
    /// Serial and peak of each item, by id.
    pub(crate) items: BTreeMap<i64, (i64, i64)>,
    /// What those items have in the further column that have something in it, by id.
    pub(crate) added: BTreeMap<i64, i64>,
    /// Serial and count of each row of stock, by id.
    pub(crate) stocks: BTreeMap<i64, (i64, i64)>,
    /// Both sides of each card, by id.
    pub(crate) cards: BTreeMap<i64, Values>,
    /// How often each event is there, by serial.
    pub(crate) events: BTreeMap<i64, usize>,
}

/// What segments hold, by number: they never change while a store is open.
pub(crate) type Cache = BTreeMap<u64, Vec<RecordBatch>>;

pub(crate) fn read(store: &Store, cache: &mut Cache) -> Result<Visible, StoreError> {
    let snapshot = store.reader().snapshot();
    let [items, stocks, cards] = COLUMNS.map(|(name, columns)| newest(&snapshot, name, columns, cache));
    let pairs = |rows: BTreeMap<i64, Row>| rows.into_iter().map(|(id, ([one, other], _))| (id, (one, other))).collect();
    let (items, stocks, cards) = (items?, pairs(stocks?), cards?);
    let added = items.iter().filter_map(|(id, (_, added))| Some((*id, (*added)?))).collect();
    let cards = cards.into_iter().map(|(id, (values, _))| (id, values)).collect();
    let mut visible = Visible { items: pairs(items), added, stocks, cards, events: BTreeMap::new() };
    for batch in batches(&snapshot, EVENT, cache)? {
        for serial in integers(&batch, "serial") {
            *visible.events.entry(serial.unwrap()).or_default() += 1;
        }
    }
    Ok(visible)
}

/// The newest version of each row, by its key.
fn newest(
    snapshot: &Snapshot,
    name: &str,
    columns: [&str; 3],
    cache: &mut Cache,
) -> Result<BTreeMap<i64, Row>, StoreError> {
    let mut newest: BTreeMap<i64, (Stamp, bool, Row)> = BTreeMap::new();
    for batch in batches(snapshot, name, cache)? {
        let [ids, ones, others] = columns.map(|column| integers(&batch, column));
        let added = batch.column_by_name(ADDED).map(|_| integers(&batch, ADDED));
        let (stamps, deleted) = (stamps(&batch), deletions(&batch));
        for row in 0..batch.num_rows() {
            let values = [ones[row].unwrap_or_default(), others[row].unwrap_or_default()];
            let added = added.as_ref().and_then(|added| added[row]);
            let version = (stamps[row], deleted[row], (values, added));
            let known = newest.entry(ids[row].unwrap()).or_insert(version);
            if known.0 < version.0 {
                *known = version;
            }
        }
    }
    let live = newest.into_iter().filter(|(_, (_, deleted, _))| !deleted);
    Ok(live.map(|(id, (_, _, row))| (id, row)).collect())
}

/// In which region each person is at home, by serial.
pub(crate) fn homes(store: &Store, cache: &mut Cache) -> Result<BTreeMap<i64, i64>, StoreError> {
    let mut homes = BTreeMap::new();
    for batch in batches(&store.reader().snapshot(), PERSON, cache)? {
        let [serials, found] = ["serial", "home"].map(|name| integers(&batch, name));
        homes.extend(serials.into_iter().flatten().zip(found.into_iter().flatten()));
    }
    Ok(homes)
}

/// How many versions of rows are kept that only say that there is none.
pub(crate) fn tombstones(store: &Store, cache: &mut Cache) -> Result<usize, StoreError> {
    let mut count = 0;
    for (name, _) in COLUMNS {
        for batch in batches(&store.reader().snapshot(), name, cache)? {
            count += deletions(&batch).into_iter().filter(|deleted| *deleted).count();
        }
    }
    Ok(count)
}

/// The texts of the versions of every conflict that a region lists, by the key of the row.
pub(crate) fn conflicts(store: &Store, cache: &mut Cache) -> Result<Vec<(String, String)>, StoreError> {
    let mut found = Vec::new();
    for batch in batches(&store.reader().snapshot(), CONFLICTS, cache)? {
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (keys, versions) = (text("key"), text("versions"));
        found.extend((0..batch.num_rows()).map(|row| (keys.value(row).to_owned(), versions.value(row).to_owned())));
    }
    Ok(found)
}

fn batches(snapshot: &Snapshot, name: &str, cache: &mut Cache) -> Result<Vec<RecordBatch>, StoreError> {
    let mut batches = Vec::new();
    for partition in snapshot.partitions(&dataset(name))? {
        for segment in &partition.segments {
            let held = match cache.entry(segment.id) {
                Entry::Occupied(held) => held.into_mut(),
                Entry::Vacant(place) => {
                    let bytes = segment.read(0..segment.bytes)?;
                    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
                    place.insert(reader.map(Result::unwrap).collect())
                }
            };
            batches.extend(held.iter().cloned());
        }
        batches.extend(partition.recent.iter().cloned());
    }
    Ok(batches)
}

fn integers(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().iter().collect()
}

fn stamps(batch: &RecordBatch) -> Vec<Stamp> {
    let column = |name| batch.column_by_name(name).unwrap().as_primitive::<UInt64Type>().values().to_vec();
    column(HLC_COLUMN).into_iter().zip(column(SEQ_COLUMN)).collect()
}

fn deletions(batch: &RecordBatch) -> Vec<bool> {
    let ops = batch.column_by_name(OP_COLUMN).unwrap().as_primitive::<UInt8Type>();
    ops.values().iter().map(|op| *op != 0).collect()
}
