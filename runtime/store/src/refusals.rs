//! Rows of a load that are refused: all of them counted, the first few kept to show.

use std::collections::BTreeMap;
use std::fmt;

use domicile_types::{DatasetName, KeyValue, RegionId, limits, suggestion};

use crate::StoreError;

/// A row that a load refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Position in the file, counted from 1; a CSV header is not counted.
    pub row: u64,
    /// The column, or the columns of a key with commas between.
    pub column: String,
    /// The value as text, shortened to [`limits::REFUSED_VALUE_CHARS_MAX`] characters; none where it is missing.
    pub value: Option<String>,
    /// Why.
    pub reason: RefusalReason,
}

impl fmt::Display for RefusedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}, column {}", self.row, self.column)?;
        if let Some(value) = &self.value {
            write!(f, ", value {value:?}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// No value where one is required.
    #[error("a value is required")]
    Missing,
    /// A text that is no value of the column's type.
    #[error("not a value of type {expected}")]
    Malformed {
        /// The column's type.
        expected: String,
    },
    /// A value that the column's type cannot hold exactly.
    #[error("cannot be held by type {expected} without loss")]
    Lossy {
        /// The column's type.
        expected: String,
    },
    /// A member of a JSON row that the dataset has no column for.
    #[error("there is no such column{}", suggestion(.nearest.as_deref()))]
    UnknownColumn {
        /// The most similar column of the dataset.
        nearest: Option<String>,
    },
    /// A member that a deletion does not name.
    #[error("not part of the primary key; a deletion names the key's columns and no others")]
    NotKey,
    /// A member that the row has twice.
    #[error("the row has this column twice")]
    RepeatedColumn,
    /// The row's home is another region.
    #[error("home is {home}; load it there")]
    OtherHome {
        /// The row's home.
        home: RegionId,
    },
    /// The row has no home anywhere.
    #[error("no home: value {value} is not in the policy's map")]
    NoHome {
        /// The value that is not in the map.
        value: KeyValue,
    },
    /// The partition of the row is past its time.
    #[error("rows of that time are not kept any more: they go {keep_days} days after their partition ends")]
    Expired {
        /// How long partitions are kept.
        keep_days: u32,
    },
    /// The row that this one refers to is not stored in this region.
    #[error(
        "no row of {dataset} with this key is stored in this region; load {dataset} first, or load this row where it is"
    )]
    NoParent {
        /// The dataset referred to.
        dataset: DatasetName,
    },
    /// An earlier row of the file has this key.
    #[error("an earlier row of the file has this primary key")]
    RepeatedKey,
    /// A stored row has this key.
    #[error("a stored row has this primary key")]
    StoredKey,
}

/// The refused rows of one load. A row counts once, with the reason that was found first.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// Rows before the chunk at hand.
    before: u64,
    /// Which rows of the chunk at hand were refused.
    seen: Vec<bool>,
    refused: u64,
    first: BTreeMap<u64, RefusedRow>,
}

impl Refusals {
    /// Refuses a row of the chunk at hand, `index` counted from 0.
    pub(crate) fn refuse(
        &mut self,
        index: usize,
        column: &str,
        value: impl FnOnce() -> Option<String>,
        reason: RefusalReason,
    ) {
        if self.seen.len() <= index {
            self.seen.resize(index + 1, false);
        }
        if std::mem::replace(&mut self.seen[index], true) {
            return;
        }
        self.refused += 1;
        let row = self.before + index as u64 + 1;
        let value = value().map(|value| value.chars().take(limits::REFUSED_VALUE_CHARS_MAX).collect());
        self.first.insert(row, RefusedRow { row, column: column.to_owned(), value, reason });
        if self.first.len() > limits::REFUSED_ROWS_LISTED_MAX {
            self.first.pop_last();
        }
    }

    /// Goes on to the next chunk, past `rows`.
    pub(crate) fn advance(&mut self, rows: usize) {
        self.before += rows as u64;
        self.seen.clear();
    }

    /// Rows in the chunks before the one at hand.
    pub(crate) fn rows_before(&self) -> u64 {
        self.before
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.refused == 0
    }

    /// The refusal of the whole load, where a row was refused.
    pub(crate) fn into_result(self) -> Result<(), StoreError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(StoreError::RowsRefused { refused: self.refused, first: self.first.into_values().collect() })
    }
}
