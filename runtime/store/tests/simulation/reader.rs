//! Reads a dataset out of a snapshot, plainly and suspiciously: the store's own merging is not used.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use domicile_store::{
    ENTITY_COLUMN, EPOCH_COLUMN, HLC_COLUMN, OP_COLUMN, ORIGIN_COLUMN, Partition, ReadGroup, SEQ_COLUMN, Segment,
    Snapshot, StoreError,
};
use domicile_types::ColumnType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::model::Rows;
use crate::tables::{Cell, Row, Table};

/// What orders the versions of a row: `_hlc`, `_origin`, `_epoch`, `_seq`.
pub(crate) type Stamp = (u64, String, u32, u64);

/// One version of a row as stored.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) row: Row,
    pub(crate) entity: Cell,
    pub(crate) stamp: Stamp,
    pub(crate) deleted: bool,
}

/// A dataset as read.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) rows: Rows,
    /// All versions that are stored, superseded ones included.
    pub(crate) versions: Vec<Version>,
    pub(crate) segments: usize,
    pub(crate) merged_groups: usize,
}

#[derive(Debug)]
pub(crate) enum ReadError {
    /// The store says that it cannot give the data.
    Refused(StoreError),
    /// The store gave something wrong.
    Wrong(String),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

fn wrong(text: String) -> ReadError {
    ReadError::Wrong(text)
}

/// What segments hold, by number: they never change while a store is open.
pub(crate) type Cache = BTreeMap<u64, Vec<Version>>;

pub(crate) fn read(snapshot: &Snapshot, table: &Table) -> Result<Found, ReadError> {
    read_with(snapshot, table, &mut Cache::new())
}

/// Like `read`, without reading a segment twice.
pub(crate) fn read_with(snapshot: &Snapshot, table: &Table, cache: &mut Cache) -> Result<Found, ReadError> {
    let mut found = Found::default();
    let mut counted = 0;
    for partition in snapshot.partitions(table.name())? {
        let place = format!("{} {:?}", table.name(), partition.key);
        counted += read_partition(&partition, table, cache, &mut found).map_err(|error| match error {
            ReadError::Wrong(text) => wrong(format!("{place}: {text}")),
            refused @ ReadError::Refused(_) => refused,
        })?;
    }
    let claimed = (snapshot.rows(table.name()), snapshot.segments_len(table.name()));
    if claimed != (counted, found.segments) {
        return Err(wrong(format!("{}: the snapshot claims {claimed:?} rows and segments", table.name())));
    }
    Ok(found)
}

/// Gives how many versions the partition stores.
fn read_partition(
    partition: &Partition,
    table: &Table,
    cache: &mut Cache,
    found: &mut Found,
) -> Result<u64, ReadError> {
    let mut keys: BTreeSet<Row> = BTreeSet::new();
    let mut stored = 0;
    for group in partition.groups() {
        let (live, versions) = read_group(&group, table, cache)?;
        found.segments += group.segments.len();
        found.merged_groups += usize::from(group.merge);
        let in_group: BTreeSet<Row> = versions.iter().map(|version| table.identity(&version.row)).collect();
        if let Some(twice) = in_group.intersection(&keys).next() {
            return Err(wrong(format!("{twice:?} is in two groups")));
        }
        keys.extend(in_group);
        for version in &live {
            if table.partition(&version.row) != partition.key.values() {
                return Err(wrong(format!("{:?} lies in the wrong partition", version.row)));
            }
            if found.rows.insert(table.identity(&version.row), version.row.clone()).is_some() {
                return Err(wrong(format!("{:?} is there twice", version.row)));
            }
        }
        stored += versions.len() as u64;
        found.versions.extend(versions);
    }
    Ok(stored)
}

/// The live rows of a group, and all versions in it.
fn read_group(group: &ReadGroup, table: &Table, cache: &mut Cache) -> Result<(Vec<Version>, Vec<Version>), ReadError> {
    let mut versions = Vec::new();
    for segment in &group.segments {
        let held = match cache.entry(segment.id) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => place.insert(read_segment(segment, table)?),
        };
        versions.extend_from_slice(held);
    }
    for batch in &group.recent {
        versions.extend(sorted(decode(batch, table)?, table)?);
    }
    if !group.merge {
        if let Some(deleted) = versions.iter().find(|version| version.deleted) {
            return Err(wrong(format!("{:?} is deleted in a group to be read plainly", deleted.row)));
        }
        return Ok((versions.clone(), versions));
    }
    let mut newest: BTreeMap<Row, &Version> = BTreeMap::new();
    for version in &versions {
        match newest.entry(table.identity(&version.row)) {
            Entry::Vacant(place) => {
                place.insert(version);
            }
            Entry::Occupied(place) if place.get().stamp == version.stamp => {
                return Err(wrong(format!("{:?} is there twice with one stamp", version.row)));
            }
            Entry::Occupied(mut place) => {
                if place.get().stamp < version.stamp {
                    place.insert(version);
                }
            }
        }
    }
    let live = newest.into_values().filter(|version| !version.deleted).cloned().collect();
    Ok((live, versions))
}

fn read_segment(segment: &Arc<Segment>, table: &Table) -> Result<Vec<Version>, ReadError> {
    let bytes = segment.read(0..segment.bytes)?;
    let third = segment.bytes / 3;
    if segment.read(third..2 * third)? != bytes.slice(third as usize..2 * third as usize) {
        return Err(wrong(format!("segment {}: a part is not part of the whole", segment.id)));
    }
    if segment.metadata()?.file_metadata().num_rows() as u64 != segment.rows {
        return Err(wrong(format!("segment {}: another number of rows in its metadata", segment.id)));
    }
    let foreign = |error: &dyn std::fmt::Display| wrong(format!("segment {}: {error}", segment.id));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| foreign(&error))?;
    let mut versions = Vec::new();
    for batch in reader.build().map_err(|error| foreign(&error))? {
        versions.extend(decode(&batch.map_err(|error| foreign(&error))?, table)?);
    }
    let tombstones = versions.iter().filter(|version| version.deleted).count() as u64;
    if (versions.len() as u64, tombstones) != (segment.rows, segment.tombstones) {
        return Err(wrong(format!("segment {}: {} rows, {tombstones} deleted", segment.id, versions.len())));
    }
    sorted(versions, table)
}

/// Refuses keys that are out of order or repeated.
fn sorted(versions: Vec<Version>, table: &Table) -> Result<Vec<Version>, ReadError> {
    let position = |version: &Version| -> Vec<(i64, String)> {
        let cells = table.key.iter().map(|column| (column, version.row[*column].clone().unwrap_or_default()));
        cells
            .map(|(column, cell)| match table.columns()[*column].kind {
                ColumnType::Text => (0, cell),
                _ => (cell.parse().unwrap_or_default(), String::new()),
            })
            .collect()
    };
    let out_of_order = |pair: &&[Version]| position(&pair[0]) >= position(&pair[1]);
    match versions.windows(2).find(out_of_order) {
        Some(pair) if table.is_keyed() => Err(wrong(format!("{:?} before {:?}", pair[0].row, pair[1].row))),
        _ => Ok(versions),
    }
}

fn decode(batch: &RecordBatch, table: &Table) -> Result<Vec<Version>, ReadError> {
    let options = FormatOptions::default();
    let column = |name: &str| {
        let array = batch.column_by_name(name).ok_or_else(|| wrong(format!("no column `{name}`")))?;
        let formatter = ArrayFormatter::try_new(array, &options).map_err(|error| wrong(error.to_string()))?;
        Ok::<_, ReadError>(move |row: usize| (!array.is_null(row)).then(|| formatter.value(row).to_string()))
    };
    let declared: Vec<_> = table.columns().iter().map(|declared| column(&declared.name)).collect::<Result<_, _>>()?;
    let entity = table.entity.map(|_| column(ENTITY_COLUMN)).transpose()?;
    let [hlc, origin, epoch, seq, op] =
        [column(HLC_COLUMN)?, column(ORIGIN_COLUMN)?, column(EPOCH_COLUMN)?, column(SEQ_COLUMN)?, column(OP_COLUMN)?];
    let number = |cell: Cell| -> Result<u64, ReadError> {
        cell.and_then(|text| text.parse().ok()).ok_or_else(|| wrong("no stamp".to_owned()))
    };
    let version = |row: usize| {
        let epoch = u32::try_from(number(epoch(row))?).unwrap_or(u32::MAX);
        Ok(Version {
            row: declared.iter().map(|column| column(row)).collect(),
            entity: entity.as_ref().and_then(|column| column(row)),
            stamp: (number(hlc(row))?, origin(row).unwrap_or_default(), epoch, number(seq(row))?),
            deleted: op(row).as_deref() == Some("1"),
        })
    };
    (0..batch.num_rows()).map(version).collect()
}
