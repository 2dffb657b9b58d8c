//! The entries of a snapshot that are not stable, as a file: for each its moment and the number of its first row where
//! the snapshot was made (64 bits each), the number of its rows there (32 bits), all little-endian, and the entry as
//! [`Entry::encode`] makes it.

use bytes::Bytes;
use domicile_types::{Hlc, SetName, Vector};

use crate::logs::{Entry, Place};
use crate::{Store, StoreError};

const HEAD_BYTES: usize = 20;

/// An entry, and which rows came of it.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) entry: Entry,
    pub(crate) local_hlc: Hlc,
    pub(crate) first_seq: u64,
    pub(crate) rows: u32,
}

impl Kept {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.extend_from_slice(&self.local_hlc.0.to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        self.entry.encode(out)
    }

    /// The first of these, and the bytes behind it.
    pub(crate) fn decode(bytes: &Bytes) -> Result<(Self, Bytes), StoreError> {
        let part = |at: usize, length: usize| bytes.get(at..at + length).ok_or(StoreError::NoEntry);
        let long =
            |at| Ok::<_, StoreError>(u64::from_le_bytes(part(at, 8)?.try_into().map_err(|_| StoreError::NoEntry)?));
        let rows = u32::from_le_bytes(part(16, 4)?.try_into().map_err(|_| StoreError::NoEntry)?);
        let (local_hlc, first_seq) = (Hlc(long(0)?), long(8)?);
        let (entry, rest) = Entry::decode(&bytes.slice(HEAD_BYTES..))?;
        Ok((Self { entry, local_hlc, first_seq, rows }, rest))
    }
}

impl Store {
    /// Entries that this region has of a set, from the first on that is not stable. Stable ones among them are needed:
    /// versions that stand beside each other came to count with the last of them.
    pub(crate) fn kept_entries(&self, set: &SetName) -> Vec<Place> {
        let stable = &self.logs.state(set).stable;
        self.logs.places(set).skip_while(|place| stable.contains(&place.mark.dot)).cloned().collect()
    }

    /// Entries that this region has of a set, beyond a vector.
    pub(crate) fn entries_beyond(&self, set: &SetName, vector: &Vector) -> Vec<Place> {
        self.logs.places(set).filter(|place| !vector.contains(&place.mark.dot)).cloned().collect()
    }
}
