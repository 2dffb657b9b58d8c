//! An entry of a log, as it is given to other regions and comes from them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use domicile_types::{DatasetName, Mark, limits};

use crate::StoreError;
use crate::input::guarded;
use crate::wal::record::dataset_mark;
use crate::wal::{Body, Description, mark};

/// An entry of a log: rows that somebody wrote at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which, when, and knowing of what.
    pub mark: Arc<Mark>,
    pub(crate) body: Body,
}

/// Bytes before the parts of an encoded entry: their lengths, the length of the rows unpacked, and their number.
const HEAD_BYTES: usize = 5 * 4;

impl Entry {
    /// Bytes of the encoded entry.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        // What a mark takes is little and nearly the same for all.
        HEAD_BYTES + 256 + self.body.description.len() + self.body.block.len()
    }

    /// Rows that came with it, deletions included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.body.rows as usize
    }

    /// Appends the entry to `out`: five 32-bit little-endian numbers (lengths of mark, description and rows as they
    /// are, length of the rows unpacked, number of rows), then the mark and the description as JSON, and the rows as the
    /// write-ahead log has them, an Arrow IPC stream in one LZ4 block.
    ///
    /// # Errors
    /// Where the mark cannot be encoded.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let mark = mark::encode(&self.mark)?;
        let Body { description, block, stream_bytes, rows, .. } = &self.body;
        let numbers = [mark.len() as u32, description.len() as u32, block.len() as u32, *stream_bytes, *rows];
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        [&mark[..], description, block].iter().for_each(|part| out.extend_from_slice(part));
        Ok(())
    }

    /// The entry at the start of `bytes`, and what follows it.
    ///
    /// # Errors
    /// Where the bytes do not start with a whole entry.
    pub fn decode(bytes: &Bytes) -> Result<(Self, Bytes), StoreError> {
        Self::read(bytes).ok_or(StoreError::NoEntry)
    }

    fn read(bytes: &Bytes) -> Option<(Self, Bytes)> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(4 * at..4 * at + 4)?.try_into().ok()?));
        let (stream_bytes, rows) = (number(3)?, number(4)?);
        let [mark, description, block] = [number(0)?, number(1)?, number(2)?].map(|length| length as usize);
        if [mark, description, block, stream_bytes as usize].iter().any(|length| *length > limits::LOG_RECORD_BYTES_MAX)
        {
            return None;
        }
        let ends =
            [HEAD_BYTES, HEAD_BYTES + mark, HEAD_BYTES + mark + description, HEAD_BYTES + mark + description + block];
        if bytes.len() < ends[3] {
            return None;
        }
        let part = |at: usize| bytes.slice(ends[at]..ends[at + 1]);
        let (mark, description) = (mark::decode(&part(0))?, part(1));
        let dataset = serde_json::from_slice::<Description>(&description).ok()?.dataset;
        let body = Body { description, block: part(2), stream_bytes, rows, dataset: dataset_mark(&dataset) };
        Some((Self { mark: Arc::new(mark), body }, bytes.slice(ends[3]..)))
    }

    /// The dataset, and the rows as they were logged.
    pub(crate) fn open(&self) -> Result<(Description, DatasetName, RecordBatch), StoreError> {
        let (description, rows) = guarded(|| self.body.decode().ok_or("no rows")).map_err(|_| StoreError::NoEntry)?;
        let dataset = description.dataset.parse().map_err(|_| StoreError::NoEntry)?;
        Ok((description, dataset, rows))
    }
}
