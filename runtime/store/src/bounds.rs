//! Between which keys the rows of a source lie, as far as that can be said: what does not overlap needs no merging.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type};
use serde::{Deserialize, Serialize};

/// Longest text that is kept as a bound, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// A value of the first key column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    Integer(i64),
    Text(String),
}

/// The least and the greatest value of the first key column; none where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    pub(crate) min: Option<Bound>,
    pub(crate) max: Option<Bound>,
}

impl Bounds {
    /// The bounds of a batch that is sorted by `key`; none where it has no rows.
    pub(crate) fn of_sorted(batch: &RecordBatch, key: &str) -> Option<Self> {
        let last = batch.num_rows().checked_sub(1)?;
        let column = batch.column_by_name(key)?;
        Some(Self { min: bound(column, 0), max: bound(column, last) })
    }

    /// The bounds of both; a missing side counts as nothing, not as unknown.
    pub(crate) fn join(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (a.clone(), b.clone()) else { return a.or(b) };
        let min = a.min.zip(b.min).map(|(a, b)| a.min(b));
        let max = a.max.zip(b.max).map(|(a, b)| a.max(b));
        Some(Self { min, max })
    }

    /// Whether something greater than everything here begins at `next`.
    pub(crate) fn ends_before(&self, next: &Self) -> bool {
        matches!((&self.max, &next.min), (Some(max), Some(min)) if max < min)
    }
}

fn bound(column: &dyn Array, row: usize) -> Option<Bound> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Int64 => Some(Bound::Integer(column.as_primitive::<Int64Type>().value(row))),
        DataType::Int32 => Some(Bound::Integer(i64::from(column.as_primitive::<Int32Type>().value(row)))),
        DataType::Date32 => Some(Bound::Integer(i64::from(column.as_primitive::<Date32Type>().value(row)))),
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row);
            (text.len() <= TEXT_BYTES_MAX).then(|| Bound::Text(text.to_owned()))
        }
        _ => None,
    }
}
