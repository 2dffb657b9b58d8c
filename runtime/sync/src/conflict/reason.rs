//! Why a row is what it is, for people.

use std::fmt;

use domicile_types::{PluginName, RegionId};

/// Why a row, or one of its columns, has the values that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is no other version.
    Only,
    /// Its version was written last.
    WrittenLast,
    /// Its version was written first.
    WrittenFirst,
    /// Of the regions that wrote, this one comes first in the policy's list.
    OriginFirst(RegionId),
    /// Each column has its last change.
    LastChanges,
    /// A plugin made it.
    Plugin(PluginName),
    /// A plugin was to make it and did not, so that the version counts that was written last.
    PluginFailed {
        /// The plugin.
        plugin: PluginName,
        /// What went wrong. It is not part of the text for people, since a plugin may have written it while it saw
        /// rows.
        problem: String,
    },
    /// Nobody decided yet, so that the version counts that was written last.
    Undecided,
    /// The column has the greatest value of all versions.
    Largest(String),
    /// The column has the least value of all versions.
    Smallest(String),
    /// The column has all changes added up.
    Sum(String),
    /// The column has all members of the versions' sets.
    Union(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("the only version"),
            Self::WrittenLast => f.write_str("written last"),
            Self::WrittenFirst => f.write_str("written first"),
            Self::OriginFirst(region) => write!(f, "{region} comes first"),
            Self::LastChanges => f.write_str("last change of each column"),
            Self::Plugin(plugin) => write!(f, "made by plugin `{plugin}`"),
            Self::PluginFailed { plugin, .. } => write!(f, "plugin `{plugin}` failed; written last"),
            Self::Undecided => f.write_str("not decided yet; written last"),
            Self::Largest(column) => write!(f, "largest value of `{column}`"),
            Self::Smallest(column) => write!(f, "smallest value of `{column}`"),
            Self::Sum(column) => write!(f, "sum of all changes of `{column}`"),
            Self::Union(column) => write!(f, "all members of `{column}`"),
        }
    }
}
