//! Who has copies of which rows.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::{DatasetName, RegionId, SetName};

/// Datasets whose rows the same regions have. Without a home they are reference data: they are written anywhere among
/// these, and the same everywhere in the end. With one they are the rows that live there: only the home writes, and the
/// others have copies of what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationSet {
    /// Its name.
    pub name: SetName,
    /// Who has the rows.
    pub regions: BTreeSet<RegionId>,
    /// The datasets.
    pub datasets: BTreeSet<DatasetName>,
    /// Where the rows live, where they are not reference data.
    pub home: Option<RegionId>,
    /// When a write is acknowledged, unless the request says otherwise.
    pub acknowledge: Acknowledge,
}

impl ReplicationSet {
    /// Whether a region has the rows of the set in its own store, and not as copies of what lives elsewhere.
    #[must_use]
    pub fn is_own_of(&self, region: &RegionId) -> bool {
        self.regions.contains(region) && self.home.as_ref().is_none_or(|home| home == region)
    }

    /// Where the rows live that a region has copies of; none where it has none by this set.
    #[must_use]
    pub fn copied_from(&self, region: &RegionId) -> Option<&RegionId> {
        self.home.as_ref().filter(|home| *home != region && self.regions.contains(region))
    }
}

/// A text that does not say when a write counts as done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` does not say when a write is done; write \"local\" or \"jurisdiction:COPIES\", for example \"jurisdiction:2\""
)]
pub struct AcknowledgeError {
    text: String,
}

impl FromStr for Acknowledge {
    type Err = AcknowledgeError;

    fn from_str(text: &str) -> Result<Self, AcknowledgeError> {
        let copies = text.strip_prefix("jurisdiction:").and_then(|copies| copies.parse().ok());
        match (text, copies) {
            ("local", _) => Ok(Self::Local),
            (_, Some(copies)) => Ok(Self::Jurisdiction { copies }),
            _ => Err(AcknowledgeError { text: text.to_owned() }),
        }
    }
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

/// How entries travel from one region to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogLink {
    /// How the region that asks wants them packed; as they are where it says nothing.
    pub compression: Option<LogCompression>,
    /// Most bytes a second that it lets come.
    pub bytes_per_s_max: Option<u64>,
}

/// How entries are packed for their way, beyond how they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCompression {
    /// Zstandard.
    Zstd,
}
