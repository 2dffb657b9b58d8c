//! How a dataset is divided, and how long its parts are kept.

use crate::{ColumnType, Dataset, DatasetError};

/// The length of a time bucket. Buckets follow the calendar of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// One day.
    Day,
    /// One month, from its first day.
    Month,
    /// Three months, from the first of January, April, July and October.
    Quarter,
}

/// Division by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimePartition {
    /// A date column.
    pub column: String,
    /// Length of a bucket.
    pub every: Every,
}

/// Division by what a column says: an account, a segment, an industry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuePartition {
    /// A column of integers, texts or booleans.
    pub column: String,
    /// How many buckets values are hashed into; none where each value has a partition of its own.
    pub buckets: Option<u32>,
}

/// How a dataset is divided within its home. Without columns, one partition has all rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partitioning {
    /// By time.
    pub time: Option<TimePartition>,
    /// By columns, the coarsest first.
    pub by: Vec<ValuePartition>,
}

/// How long partitions are kept, counted in days from the end of their time bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// Partitions older than this are dropped; none keeps them for good.
    pub keep_days: Option<u32>,
    /// Partitions older than this move to the region's cold storage; none leaves them.
    pub tier_after_days: Option<u32>,
}

impl Partitioning {
    /// The columns that a row's partition depends on.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let by = self.by.iter().map(|partition| partition.column.as_str());
        self.time.iter().map(|time| time.column.as_str()).chain(by)
    }

    /// Whether all rows are in one partition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.time.is_none() && self.by.is_empty()
    }
}

/// Most buckets that one column may be hashed into.
pub const BUCKETS_MAX: u32 = 1024;

impl Dataset {
    /// The dataset divided and kept as given.
    ///
    /// # Errors
    /// Where a column does not exist, is named twice or has a type that does not divide, a number of buckets is not
    /// 1 to [`BUCKETS_MAX`], or days are counted without a time column.
    pub fn divided(mut self, partitioning: Partitioning, lifecycle: Lifecycle) -> Result<Self, DatasetError> {
        let columns: Vec<&str> = partitioning.columns().collect();
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].contains(column) {
                return Err(DatasetError::RepeatedPartition { dataset: self.name, column: (*column).to_owned() });
            }
        }
        if let Some(time) = &partitioning.time
            && self.column(&time.column)?.kind != ColumnType::Date
        {
            return Err(DatasetError::TimePartition { dataset: self.name, column: time.column.clone() });
        }
        for by in &partitioning.by {
            let fits = matches!(
                self.column(&by.column)?.kind,
                ColumnType::BigInt | ColumnType::Integer | ColumnType::Text | ColumnType::Boolean
            );
            if !fits {
                return Err(DatasetError::ValuePartition { dataset: self.name, column: by.column.clone() });
            }
            if by.buckets.is_some_and(|buckets| !(1..=BUCKETS_MAX).contains(&buckets)) {
                return Err(DatasetError::Buckets { dataset: self.name, column: by.column.clone() });
            }
        }
        if partitioning.time.is_none() && lifecycle != Lifecycle::default() {
            return Err(DatasetError::Lifecycle { dataset: self.name });
        }
        self.partitioning = partitioning;
        self.lifecycle = lifecycle;
        Ok(self)
    }

    /// Whether a new version of a row may lie in another partition than the old one: a partition column is not part of
    /// the primary key.
    #[must_use]
    pub fn rows_may_move(&self) -> bool {
        let outside = |column: &str| !self.primary_key.iter().any(|key| key == column);
        !self.primary_key.is_empty() && self.partitioning.columns().any(outside)
    }
}
