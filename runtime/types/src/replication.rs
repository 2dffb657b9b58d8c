//! Who has copies of which rows, and what becomes of rows that were written at two places at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{DatasetName, PluginName, RegionId, SetName};

/// Datasets whose rows the same regions have: they are written anywhere among these, and the same everywhere in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationSet {
    /// Its name.
    pub name: SetName,
    /// Who has the rows.
    pub regions: BTreeSet<RegionId>,
    /// The datasets.
    pub datasets: BTreeSet<DatasetName>,
    /// When a write is acknowledged, unless the request says otherwise.
    pub acknowledge: Acknowledge,
}

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    /// Once it is durable in the region that took it.
    #[default]
    Local,
    /// Once it is durable in so many regions of that region's jurisdiction, itself included.
    Jurisdiction {
        /// How many, from 2.
        copies: u8,
    },
}

/// Which of several concurrent versions of a row counts. Versions are concurrent where neither writer knew of the
/// other's; a version that was written over another one always counts instead of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RowPolicy {
    /// The one that was written last, by the hybrid logical clocks.
    #[default]
    Lww,
    /// The one that was written first.
    FirstWrite,
    /// The one of the region that comes first in the list; of regions that are not listed, the last written.
    OriginPriority(Vec<RegionId>),
    /// Each column's last change counts, whichever version it came with.
    ColumnLww,
    /// What a plugin of the world `merge` makes of them.
    Wasm(PluginName),
    /// The last written, until somebody decides: all versions are kept and listed.
    Manual,
}

/// What one column has where versions of its row are concurrent, whatever the policy of the row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnPolicy {
    /// The greatest value.
    Max,
    /// The least value.
    Min,
    /// Every region's changes added up.
    Counter,
    /// All members of the sets that the texts list, as JSON.
    SetUnion,
}

/// What becomes of concurrent versions of a dataset's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConflictPolicy {
    /// For rows as a whole.
    pub row: RowPolicy,
    /// For single columns, by name.
    pub columns: BTreeMap<String, ColumnPolicy>,
}

impl fmt::Display for RowPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lww => f.write_str("lww"),
            Self::FirstWrite => f.write_str("first_write"),
            Self::OriginPriority(_) => f.write_str("origin_priority"),
            Self::ColumnLww => f.write_str("column_lww"),
            Self::Wasm(plugin) => write!(f, "wasm:{plugin}"),
            Self::Manual => f.write_str("manual"),
        }
    }
}

impl fmt::Display for ColumnPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Max => "max",
            Self::Min => "min",
            Self::Counter => "counter",
            Self::SetUnion => "set_union",
        })
    }
}
