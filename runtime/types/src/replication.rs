//! Who has copies of which rows.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::{DatasetName, RegionId, SetName};

/// Datasets whose rows the same regions have: they are written anywhere among these, and the same everywhere in the
/// end.
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
