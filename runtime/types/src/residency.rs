//! Where a row lives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{DatasetName, RegionId};

/// A value of a residency column: an integer or a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyValue {
    /// An integer, a nation key for example.
    Integer(i64),
    /// A text, a country code for example.
    Text(String),
}

impl fmt::Display for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "'{value}'"),
        }
    }
}

/// Which region each value of a residency column has its home in. A value that is not listed has no home.
pub type HomeMap = BTreeMap<KeyValue, RegionId>;

/// How the home of a dataset's rows is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Residency {
    /// The same rows in every region; nobody's data.
    Reference,
    /// The value of a column says it.
    Column {
        /// The residency column.
        column: String,
        /// The column whose value is the entity (the person or account) a row is about.
        entity: String,
        /// Home of each value.
        homes: HomeMap,
    },
    /// A row lives where the row it refers to lives, and is about the same entity.
    Follows {
        /// The dataset referred to.
        dataset: DatasetName,
        /// The column that holds the single-column primary key of `dataset`.
        column: String,
    },
}

impl Residency {
    /// Every region that is the home of some value; empty where the residency does not name any itself.
    pub fn regions(&self) -> BTreeSet<RegionId> {
        match self {
            Self::Column { homes, .. } => homes.values().cloned().collect(),
            Self::Reference | Self::Follows { .. } => BTreeSet::new(),
        }
    }

    /// Whether the rows have a home at all.
    pub fn is_resident(&self) -> bool {
        !matches!(self, Self::Reference)
    }
}
