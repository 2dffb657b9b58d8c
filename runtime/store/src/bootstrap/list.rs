//! The list that says what a snapshot of a set consists of.

use std::collections::BTreeMap;

use bytes::Bytes;
use domicile_types::{Digest, Origin, SetName, limits};
use serde::{Deserialize, Serialize};

use super::BootstrapProblem;
use crate::logs::Note;
use crate::segment::SegmentEntry;
use crate::{StoreError, hash};

const FORMAT: u32 = 1;

/// What a snapshot of a set consists of, as one region offers it and another stages it.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferList {
    /// The replication set.
    pub set: SetName,
    /// The log that the region which installs it will write.
    pub life: Origin,
    pub(crate) content: Content,
}

/// The list as JSON has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) format: u32,
    pub(crate) set: String,
    pub(crate) region: String,
    pub(crate) epoch: u32,
    /// Moments and numbers of rows that the snapshot has are below these.
    pub(crate) hlc: u64,
    pub(crate) next_seq: u64,
    /// Marks of the datasets' descriptions.
    pub(crate) shapes: BTreeMap<String, u32>,
    pub(crate) note: Note,
    pub(crate) segments: Vec<SegmentEntry>,
    /// The entries that are not stable: [`super::kept`] says how.
    pub(crate) entries: File,
}

/// A file that is no segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(with = "hash::text")]
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
}

impl OfferList {
    pub(crate) const FORMAT: u32 = FORMAT;

    pub(crate) fn new(content: Content) -> Option<Self> {
        let life = Origin { region: content.region.parse().ok()?, epoch: content.epoch };
        Some(Self { set: content.set.parse().ok()?, life, content })
    }

    /// The list in `bytes`, as [`OfferList::encode`] made it.
    ///
    /// # Errors
    /// Where they are none, or of another format.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let content: Content = serde_json::from_slice(bytes).ok()?;
            (content.format == FORMAT).then_some(content).and_then(Self::new)
        };
        let fits = bytes.len() <= limits::OFFER_LIST_BYTES_MAX;
        let list = fits.then(read).flatten();
        list.ok_or_else(|| BootstrapProblem::List.into())
    }

    /// The list as JSON.
    ///
    /// # Errors
    /// Where it is longer than [`limits::OFFER_LIST_BYTES_MAX`].
    pub fn encode(&self) -> Result<Bytes, StoreError> {
        let text = serde_json::to_vec(&self.content).map_err(StoreError::encoding)?;
        let (actual, max) = (text.len() as u64, limits::OFFER_LIST_BYTES_MAX as u64);
        if actual > max {
            return Err(StoreError::TooLarge { unit: "bytes of the list of a snapshot", actual, max });
        }
        Ok(text.into())
    }

    /// The files that it names: what each is named by, and its bytes. Each once, and only those that are not empty.
    pub(crate) fn files(&self) -> BTreeMap<Digest, u64> {
        let segments = self.content.segments.iter().map(|segment| (segment.sha256, segment.bytes));
        let entries = Some(&self.content.entries).filter(|file| file.bytes > 0).map(|file| (file.sha256, file.bytes));
        segments.chain(entries).collect()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files().values().sum()
    }
}
