//! The datasets of the simulated region, and rows for them.

use chrono::{Datelike, NaiveDate};
use domicile_store::{DatasetSpec, PartitionValue, bucket_end};
use domicile_types::{
    Column, ColumnType, Dataset, DatasetName, Every, KeyValue, Lifecycle, Partitioning, RegionId, Residency,
    TimePartition, ValuePartition,
};

use crate::rng::Rng;

/// A value as text; none where it is missing.
pub(crate) type Cell = Option<String>;
/// The declared columns of a row, in order.
pub(crate) type Row = Vec<Cell>;

pub(crate) const ACCOUNT: usize = 0;
pub(crate) const ORDERS: usize = 1;
pub(crate) const TALLY: usize = 2;
pub(crate) const TAG: usize = 3;
pub(crate) const EVENT: usize = 4;
pub(crate) const NOTE: usize = 5;
pub(crate) const READING: usize = 6;

/// Readings are measured around this day, on which a simulation begins: 14 November 2023.
const FIRST_DAY: i32 = 19_675;
pub(crate) const FIRST_MS: u64 = FIRST_DAY as u64 * DAY_MS;
pub(crate) const DAY_MS: u64 = 86_400_000;

/// Accounts that are there from the start and never deleted, so that others may refer to them.
pub(crate) const ANCHORS: u64 = 4;

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) spec: DatasetSpec,
    /// Positions of the primary key; empty where rows have none.
    pub(crate) key: Vec<usize>,
    /// The column whose value tells every row that was ever made from every other.
    pub(crate) serial: usize,
    /// The column that has the entity.
    pub(crate) entity: Option<usize>,
}

impl Table {
    fn new(name: &str, columns: &[(&str, ColumnType)], key: &[&str], residency: Residency, by: Partitioning) -> Self {
        let position = |name: &str| columns.iter().position(|(column, _)| *column == name);
        // All but serials and what an entity or a home depends on may be missing.
        let needed = ["serial", "country", "account"];
        let declared = columns.iter().map(|(name, kind)| Column {
            name: (*name).to_owned(),
            kind: *kind,
            nullable: !key.contains(name) && !needed.contains(name),
        });
        let keys = key.iter().map(|key| (*key).to_owned()).collect();
        let dataset = Dataset::new(name.parse().unwrap(), declared.collect(), keys).unwrap();
        let entity = match &residency {
            Residency::Reference => None,
            Residency::Column { entity, .. } => position(entity),
            Residency::Follows { column, .. } => position(column),
        };
        Self {
            key: key.iter().map(|key| position(key).unwrap()).collect(),
            serial: position("serial").unwrap(),
            entity,
            spec: DatasetSpec { dataset: dataset.divided(by, Lifecycle::default()).unwrap(), residency },
        }
    }

    pub(crate) fn name(&self) -> &DatasetName {
        &self.spec.dataset.name
    }

    pub(crate) fn is_keyed(&self) -> bool {
        !self.key.is_empty()
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.spec.dataset.columns
    }

    /// What identifies a row: its key, or all of it.
    pub(crate) fn identity(&self, row: &Row) -> Row {
        if self.is_keyed() { self.key.iter().map(|column| row[*column].clone()).collect() } else { row.clone() }
    }

    /// The same with a lifecycle in days.
    fn kept(mut self, tier_after: u32, keep: u32) -> Self {
        let lifecycle = Lifecycle { keep_days: Some(keep), tier_after_days: Some(tier_after) };
        let dataset = self.spec.dataset.clone();
        let partitioning = dataset.partitioning.clone();
        self.spec.dataset = dataset.divided(partitioning, lifecycle).unwrap();
        self
    }

    /// Whether the row may have been dropped by `day`, since its time is over.
    pub(crate) fn may_be_expired(&self, row: &Row, day: i32) -> bool {
        let dataset = &self.spec.dataset;
        let (Some(keep), Some(time)) = (dataset.lifecycle.keep_days, &dataset.partitioning.time) else { return false };
        match self.partition(row).first() {
            Some(PartitionValue::Day(first)) => bucket_end(*first, time.every) + keep as i32 <= day,
            _ => false,
        }
    }

    pub(crate) fn serial_of(&self, row: &Row) -> u64 {
        row[self.serial].as_deref().unwrap().parse().unwrap()
    }

    /// Where the row belongs, worked out here.
    pub(crate) fn partition(&self, row: &Row) -> Vec<PartitionValue> {
        let at = |name: &str| self.columns().iter().position(|column| column.name == name).unwrap();
        let by = &self.spec.dataset.partitioning;
        let time = by.time.iter().map(|time| row[at(&time.column)].as_deref().map(|day| bucket(day, time.every)));
        let mut values: Vec<PartitionValue> =
            time.map(|day| day.map_or(PartitionValue::Missing, PartitionValue::Day)).collect();
        for part in &by.by {
            let column = at(&part.column);
            let value = row[column].as_deref().map(|text| match self.columns()[column].kind {
                ColumnType::Text => PartitionValue::Text(text.to_owned()),
                ColumnType::Boolean => PartitionValue::Boolean(text == "true"),
                _ => PartitionValue::Integer(text.parse().unwrap()),
            });
            values.push(match (value, part.buckets) {
                (None, _) => PartitionValue::Missing,
                (Some(value), None) => value,
                (Some(value), Some(buckets)) => PartitionValue::Bucket(checksum(&value) % buckets),
            });
        }
        values
    }
}

fn checksum(value: &PartitionValue) -> u32 {
    match value {
        PartitionValue::Text(text) => crc32c::crc32c(text.as_bytes()),
        PartitionValue::Integer(integer) => crc32c::crc32c(&integer.to_le_bytes()),
        PartitionValue::Boolean(boolean) => crc32c::crc32c(&[u8::from(*boolean)]),
        other => panic!("no value of a column: {other:?}"),
    }
}

/// The first day of a bucket, counted from 1970.
fn bucket(day: &str, every: Every) -> i32 {
    let day: NaiveDate = day.parse().unwrap();
    let first = match every {
        Every::Day => day,
        Every::Month => day.with_day(1).unwrap(),
        Every::Quarter => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1).unwrap(),
    };
    first.signed_duration_since(NaiveDate::default()).num_days() as i32
}

pub(crate) fn region() -> RegionId {
    "eu-central".parse().unwrap()
}

fn by(time: Option<(&str, Every)>, values: &[(&str, Option<u32>)]) -> Partitioning {
    let by = values.iter().map(|(column, buckets)| ValuePartition { column: (*column).to_owned(), buckets: *buckets });
    let time = time.map(|(column, every)| TimePartition { column: column.to_owned(), every });
    Partitioning { time, by: by.collect() }
}

/// All datasets, at the positions that the constants name.
pub(crate) fn tables() -> Vec<Table> {
    use ColumnType::{BigInt, Boolean, Date, Integer, Text};
    let homes = [("de", "eu-central"), ("fr", "eu-central"), ("us", "us-east")];
    let homes = homes.iter().map(|(country, home)| (KeyValue::Text((*country).to_owned()), home.parse().unwrap()));
    let resident = Residency::Column { column: "country".to_owned(), entity: "id".to_owned(), homes: homes.collect() };
    let follows = Residency::Follows { dataset: "account".parse().unwrap(), column: "account".to_owned() };
    let account = [("id", BigInt), ("country", Text), ("name", Text), ("serial", BigInt)];
    let orders = [("id", BigInt), ("account", BigInt), ("day", Date), ("serial", BigInt)];
    let tally = [("name", Text), ("slot", Integer), ("flag", Boolean), ("serial", BigInt)];
    let tag = [("id", BigInt), ("label", Text), ("serial", BigInt)];
    let event = [("kind", Text), ("day", Date), ("serial", BigInt)];
    let note = [("serial", BigInt), ("text", Text)];
    let reading = [("sensor", Integer), ("day", Date), ("serial", BigInt)];
    let daily = by(Some(("day", Every::Day)), &[]);
    let monthly = by(Some(("day", Every::Month)), &[]);
    let event_by = by(Some(("day", Every::Quarter)), &[("kind", None)]);
    vec![
        Table::new("account", &account, &["id"], resident, Partitioning::default()),
        Table::new("orders", &orders, &["id"], follows, monthly),
        Table::new("tally", &tally, &["name", "slot"], Residency::Reference, by(None, &[("name", Some(3))])),
        Table::new("tag", &tag, &["id"], Residency::Reference, by(None, &[("label", None)])),
        Table::new("event", &event, &[], Residency::Reference, event_by),
        Table::new("note", &note, &[], Residency::Reference, Partitioning::default()),
        Table::new("reading", &reading, &["day", "sensor"], Residency::Reference, daily).kept(10, 30),
    ]
}

/// A row that the store takes, with a key from a small room so that keys collide.
pub(crate) fn row(table: usize, serial: u64, rng: &mut Rng) -> Row {
    let serial = Some(serial.to_string());
    let number = |rng: &mut Rng, below: u64| Some(rng.below(below).to_string());
    let maybe = |rng: &mut Rng, texts: &[&str]| (!rng.chance(15)).then(|| (*rng.pick(texts)).to_owned());
    match table {
        ACCOUNT => {
            let country = Some((*rng.pick(&["de", "fr"])).to_owned());
            vec![number(rng, 12), country, maybe(rng, &["Ada", "Zoë, \"Z\"", "O'Neil"]), serial]
        }
        ORDERS => vec![number(rng, 30), number(rng, ANCHORS), day(rng), serial],
        TALLY => {
            let name = Some((*rng.pick(&["a", "b", "ç", "dd", "e e"])).to_owned());
            vec![name, number(rng, 8), maybe(rng, &["true", "false"]), serial]
        }
        TAG => vec![number(rng, 25), maybe(rng, &["red", "green", "blue"]), serial],
        READING => {
            let days = FIRST_DAY + *rng.pick(&[-40, -29, -27, -22, -11, -3, 0, 4]);
            let day = NaiveDate::default() + chrono::Days::new(days as u64);
            vec![number(rng, 5), Some(day.to_string()), serial]
        }
        EVENT => vec![maybe(rng, &["open", "close"]), day(rng), serial],
        _ => vec![serial, maybe(rng, &["one", "two", "three and a longer text"])],
    }
}

fn day(rng: &mut Rng) -> Cell {
    let day = 1 + rng.below(28);
    (!rng.chance(10)).then(|| format!("2026-{:02}-{day:02}", rng.pick(&[1, 2, 3, 11])))
}
