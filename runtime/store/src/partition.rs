//! Partitions: which one a row belongs to.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type};
use arrow::row::{OwnedRow, RowConverter, SortField};
use chrono::{Datelike, Days, Months, NaiveDate};
use domicile_types::{Every, Partitioning, limits};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// What a partition column says of all rows of one partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionValue {
    /// The column has no value.
    Missing,
    /// First day of the time bucket, in days since 1970-01-01.
    Day(i32),
    /// This integer.
    Integer(i64),
    /// This text.
    Text(String),
    /// This truth value.
    Boolean(bool),
    /// Values that hash into this bucket, see [`bucket_of`].
    Bucket(u32),
}

/// A partition of a dataset: one value for each of [`Partitioning::columns`], in that order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionKey(Vec<PartitionValue>);

impl PartitionKey {
    /// The key of these values.
    pub fn new(values: Vec<PartitionValue>) -> Self {
        Self(values)
    }

    /// Its values, in the order of the partition columns.
    pub fn values(&self) -> &[PartitionValue] {
        &self.0
    }

    /// The key as people write it: `o_orderdate=2024-03-01,c_mktsegment=BUILDING,c_custkey=#7`; `all` where the dataset
    /// is not divided.
    pub fn name(&self, partitioning: &Partitioning) -> String {
        let parts = partitioning.columns().zip(&self.0).map(|(column, value)| format!("{column}={value}"));
        let name = parts.collect::<Vec<_>>().join(",");
        if name.is_empty() { "all".to_owned() } else { name }
    }
}

impl fmt::Display for PartitionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Day(day) => write!(f, "{}", date(*day)),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Bucket(bucket) => write!(f, "#{bucket}"),
        }
    }
}

/// The bucket, of `buckets`, that a value hashes into: CRC-32C (Castagnoli) of its bytes, modulo `buckets`. The bytes
/// are the integer in little-endian two's complement of 64 bits, the text in UTF-8, or one byte 0 or 1. Other values
/// are given back.
pub fn bucket_of(value: &PartitionValue, buckets: u32) -> PartitionValue {
    let hash = match value {
        PartitionValue::Integer(value) => crc32c::crc32c(&value.to_le_bytes()),
        PartitionValue::Text(value) => crc32c::crc32c(value.as_bytes()),
        PartitionValue::Boolean(value) => crc32c::crc32c(&[u8::from(*value)]),
        other => return other.clone(),
    };
    PartitionValue::Bucket(hash % buckets.max(1))
}

/// First day of the time bucket that a day lies in; days since 1970-01-01.
pub fn bucket_start(day: i32, every: Every) -> i32 {
    let date = date(day);
    let first = |month| NaiveDate::from_ymd_opt(date.year(), month, 1).unwrap_or(date);
    match every {
        Every::Day => day,
        Every::Month => days(first(date.month())),
        Every::Quarter => days(first(date.month0() / 3 * 3 + 1)),
    }
}

/// Last day of the time bucket whose first day is `first_day`; days since 1970-01-01.
pub fn bucket_end(first_day: i32, every: Every) -> i32 {
    let months = match every {
        Every::Day => return first_day,
        Every::Month => 1,
        Every::Quarter => 3,
    };
    let next = date(first_day).checked_add_months(Months::new(months));
    next.and_then(|next| next.checked_sub_days(Days::new(1))).map_or(i32::MAX, days)
}

/// The calendar date of a day; days that a calendar of 262,000 years does not have are at its ends.
fn date(day: i32) -> NaiveDate {
    let end = if day < 0 { NaiveDate::MIN } else { NaiveDate::MAX };
    NaiveDate::from_epoch_days(day).unwrap_or(end)
}

fn days(date: NaiveDate) -> i32 {
    date.to_epoch_days()
}

/// The rows of each partition in `batch`, by position in ascending order; partitions in the order of their keys.
///
/// # Errors
/// Where there are more than [`limits::BATCH_PARTITIONS_MAX`].
pub(crate) fn split(
    partitioning: &Partitioning,
    batch: &RecordBatch,
) -> Result<Vec<(PartitionKey, UInt32Array)>, StoreError> {
    let all = || UInt32Array::from_iter_values((0..).take(batch.num_rows()));
    if partitioning.is_empty() {
        return Ok(vec![(PartitionKey::default(), all())]);
    }
    let columns = columns(partitioning, batch)?;
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    let mut groups: Vec<(usize, Vec<u32>)> = Vec::new();
    let mut known: HashMap<OwnedRow, usize> = HashMap::new();
    let mut last = None;
    for (index, row) in rows.iter().enumerate() {
        let group = match last {
            Some((before, group)) if rows.row(before) == row => group,
            _ => *known.entry(row.owned()).or_insert_with(|| {
                groups.push((index, Vec::new()));
                groups.len() - 1
            }),
        };
        last = Some((index, group));
        groups[group].1.push(index as u32);
        if groups.len() > limits::BATCH_PARTITIONS_MAX {
            return Err(StoreError::TooLarge {
                unit: "partitions",
                actual: groups.len() as u64,
                max: limits::BATCH_PARTITIONS_MAX as u64,
            });
        }
    }
    let key =
        |row: usize| columns.iter().enumerate().map(|(at, column)| value(partitioning, at, column, row)).collect();
    let mut parts: Vec<_> =
        groups.into_iter().map(|(first, rows)| (PartitionKey(key(first)), UInt32Array::from(rows))).collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(parts)
}

/// What divides the rows: the time bucket's first day, the bucket's number, or the value.
fn columns(partitioning: &Partitioning, batch: &RecordBatch) -> Result<Vec<ArrayRef>, StoreError> {
    let column = |name: &str| Ok::<_, StoreError>(Arc::clone(batch.column(batch.schema_ref().index_of(name)?)));
    let mut columns: Vec<ArrayRef> = Vec::new();
    if let Some(time) = &partitioning.time {
        let starts = column(&time.column)?;
        let starts = starts.as_primitive::<Date32Type>().unary::<_, Int32Type>(|day| bucket_start(day, time.every));
        columns.push(Arc::new(starts));
    }
    for by in &partitioning.by {
        let values = column(&by.column)?;
        columns.push(match by.buckets {
            None => values,
            Some(buckets) => {
                let bucket = |row| match bucket_of(&plain(&values, row), buckets) {
                    PartitionValue::Bucket(bucket) => i32::try_from(bucket).ok(),
                    _ => None,
                };
                Arc::new((0..values.len()).map(bucket).collect::<Int32Array>())
            }
        });
    }
    Ok(columns)
}

fn value(partitioning: &Partitioning, at: usize, column: &ArrayRef, row: usize) -> PartitionValue {
    let time = usize::from(partitioning.time.is_some());
    match plain(column, row) {
        PartitionValue::Integer(day) if at < time => PartitionValue::Day(day as i32),
        PartitionValue::Integer(bucket) if partitioning.by[at - time].buckets.is_some() => {
            PartitionValue::Bucket(bucket as u32)
        }
        other => other,
    }
}

fn plain(column: &ArrayRef, row: usize) -> PartitionValue {
    if column.is_null(row) {
        return PartitionValue::Missing;
    }
    match column.data_type() {
        DataType::Int32 => PartitionValue::Integer(i64::from(column.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => PartitionValue::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Boolean => PartitionValue::Boolean(column.as_boolean().value(row)),
        _ => PartitionValue::Text(column.as_string::<i32>().value(row).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> i32 {
        days(text.parse().unwrap_or_default())
    }

    #[track_caller]
    fn check(at: &str, every: Every, start: &str, end: &str) {
        let first = bucket_start(day(at), every);
        assert_eq!((first, bucket_end(first, every)), (day(start), day(end)));
    }

    #[test]
    fn buckets_follow_the_calendar() {
        check("2024-02-29", Every::Day, "2024-02-29", "2024-02-29");
        check("2024-02-29", Every::Month, "2024-02-01", "2024-02-29");
        check("2023-12-31", Every::Month, "2023-12-01", "2023-12-31");
        check("1969-12-31", Every::Quarter, "1969-10-01", "1969-12-31");
        check("2024-07-01", Every::Quarter, "2024-07-01", "2024-09-30");
    }

    #[test]
    fn the_ends_of_the_calendar_do_not_panic() {
        for every in [Every::Day, Every::Month, Every::Quarter] {
            for day in [i32::MIN, i32::MAX] {
                bucket_end(bucket_start(day, every), every);
            }
        }
    }
}
