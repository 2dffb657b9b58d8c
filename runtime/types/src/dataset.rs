//! Datasets: schema and key.

use crate::{DatasetName, Lifecycle, Partitioning};

/// The type of a column, named as in SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// 64-bit signed integer.
    BigInt,
    /// 32-bit signed integer.
    Integer,
    /// IEEE 754 binary64.
    Double,
    /// Exact decimal.
    Decimal {
        /// Digits in total, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: i8,
    },
    /// UTF-8 text.
    Text,
    /// Days since 1970-01-01.
    Date,
    /// True or false.
    Boolean,
}

/// One column of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name, unique in the dataset.
    pub name: String,
    /// Type of every value.
    pub kind: ColumnType,
    /// Whether a value may be missing.
    pub nullable: bool,
}

/// A table: its columns in order, and the columns that identify a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Name, unique among the datasets.
    pub name: DatasetName,
    /// Columns in order. Never empty.
    pub columns: Vec<Column>,
    /// Names of the columns that identify a row; empty where the dataset has no key.
    pub primary_key: Vec<String>,
    /// How it is divided within its home.
    pub partitioning: Partitioning,
    /// How long its partitions are kept.
    pub lifecycle: Lifecycle,
}

/// Why a dataset was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// A dataset without columns.
    #[error("dataset `{dataset}` has no columns")]
    NoColumns {
        /// The dataset.
        dataset: DatasetName,
    },
    /// Two columns of one name.
    #[error("dataset `{dataset}` has two columns named `{column}`")]
    DuplicateColumn {
        /// The dataset.
        dataset: DatasetName,
        /// The repeated name.
        column: String,
    },
    /// Names that start with `_` belong to the runtime.
    #[error("column `{column}` of dataset `{dataset}` starts with `_`; such names are the runtime's own")]
    ReservedColumn {
        /// The dataset.
        dataset: DatasetName,
        /// The refused name.
        column: String,
    },
    /// A column is named that the dataset does not have.
    #[error("dataset `{dataset}` has no column `{column}`{}", crate::suggestion(.nearest.as_deref()))]
    UnknownColumn {
        /// The dataset.
        dataset: DatasetName,
        /// The name that was looked for.
        column: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// A column divides the dataset twice.
    #[error("dataset `{dataset}` is partitioned by `{column}` twice; name each column once")]
    RepeatedPartition {
        /// The dataset.
        dataset: DatasetName,
        /// The repeated column.
        column: String,
    },
    /// Time buckets of a column that is no date.
    #[error("dataset `{dataset}` cannot have time partitions by `{column}`; they need a column of type date")]
    TimePartition {
        /// The dataset.
        dataset: DatasetName,
        /// The column.
        column: String,
    },
    /// Partitions by a column of a type that values or buckets are not made of.
    #[error("dataset `{dataset}` cannot be partitioned by `{column}`; take a bigint, integer, text or boolean column")]
    ValuePartition {
        /// The dataset.
        dataset: DatasetName,
        /// The column.
        column: String,
    },
    /// A number of buckets that is out of range.
    #[error("dataset `{dataset}` needs 1 to {max} buckets for `{column}`", max = crate::BUCKETS_MAX)]
    Buckets {
        /// The dataset.
        dataset: DatasetName,
        /// The column.
        column: String,
    },
    /// Days are counted, but there is no time to count them from.
    #[error("dataset `{dataset}` has a lifecycle in days and no time partitions; give it `partition.time`")]
    Lifecycle {
        /// The dataset.
        dataset: DatasetName,
    },
}

impl Dataset {
    /// A dataset whose names are consistent.
    ///
    /// # Errors
    /// Where there are no columns, a name is repeated or reserved, or the key names a column that is missing.
    pub fn new(name: DatasetName, columns: Vec<Column>, primary_key: Vec<String>) -> Result<Self, DatasetError> {
        let (partitioning, lifecycle) = (Partitioning::default(), Lifecycle::default());
        let dataset = Self { name, columns, primary_key, partitioning, lifecycle };
        if dataset.columns.is_empty() {
            return Err(DatasetError::NoColumns { dataset: dataset.name });
        }
        for (index, column) in dataset.columns.iter().enumerate() {
            if column.name.starts_with('_') {
                return Err(DatasetError::ReservedColumn {
                    dataset: dataset.name.clone(),
                    column: column.name.clone(),
                });
            }
            if dataset.columns[..index].iter().any(|earlier| earlier.name == column.name) {
                return Err(DatasetError::DuplicateColumn {
                    dataset: dataset.name.clone(),
                    column: column.name.clone(),
                });
            }
        }
        for key in &dataset.primary_key {
            dataset.column(key)?;
        }
        Ok(dataset)
    }

    /// The column of that name.
    ///
    /// # Errors
    /// Where the dataset has no such column; the error names the nearest one.
    pub fn column(&self, name: &str) -> Result<&Column, DatasetError> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| DatasetError::UnknownColumn {
            dataset: self.name.clone(),
            column: name.to_owned(),
            nearest: crate::nearest(name, self.columns.iter().map(|c| c.name.as_str())).map(str::to_owned),
        })
    }
}
