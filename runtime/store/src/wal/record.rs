//! One record of the write-ahead log: the rows of one batch.
//!
//! All integers little-endian. Header of 80 bytes, then, for an entry of a replication set's log, its mark as JSON, then
//! the description as JSON, then the rows as an Arrow IPC stream in one LZ4 block, then zeros up to a multiple of 8:
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `DREC` |
//! | 4..8 | CRC-32C of bytes 8..80, seeded with the file's seed |
//! | 8..16 | version of the store that the record makes |
//! | 16..24 | hybrid logical clock |
//! | 24..32 | number of the first row |
//! | 32..36 | epoch; of an entry that is only kept, how many rows came of it where its snapshot was made |
//! | 36..40 | rows |
//! | 40..44 | length of the description |
//! | 44..48 | length of the LZ4 block |
//! | 48..52 | length of the IPC stream |
//! | 52..56 | CRC-32C of mark, description and block, seeded with the file's seed |
//! | 56..60 | CRC-32C of the dataset's name |
//! | 60..64 | the same of the record before; 0 for the first of a file |
//! | 64..72 | offset in the file of the first record of the same group commit |
//! | 72..76 | length of the mark; 0 where the record is no entry |
//! | 76..80 | what becomes of the rows: 0 they count, 1 those of the next record count instead, 2 it is that next record, 3 they came with a
//! snapshot, and the record is only kept |

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use domicile_types::{Digest, Hlc, Mark, limits};
use serde::{Deserialize, Serialize};

use super::mark;
use crate::StoreError;
use crate::hash;
use crate::manifest::Rule;

pub(crate) const HEADER_BYTES: usize = 80;
const MAGIC: [u8; 4] = *b"DREC";

/// What a record says about its batch beside the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    pub(crate) dataset: String,
    /// Rows of the batch as it came; tombstones of rows that moved are not counted.
    pub(crate) rows: u64,
    /// The `Idempotency-Key` and the digest of what came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency: Option<Idempotency>,
    /// The residency rule that the rows were checked under, with their values of its column.
    pub(crate) rule: Rule,
}

/// How a batch is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Idempotency {
    pub(crate) key: String,
    #[serde(with = "hash::text")]
    pub(crate) sha256: Digest,
}

/// The part of a record that a batch's preparation makes, off the writer's thread; or, of an entry that was written
/// elsewhere, what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) description: Bytes,
    pub(crate) block: Bytes,
    pub(crate) stream_bytes: u32,
    pub(crate) rows: u32,
    pub(crate) dataset: u32,
}

/// What becomes of the rows of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Use {
    /// They count.
    #[default]
    Rows,
    /// The record is kept for others; here the rows of the next record count instead.
    Carried,
    /// Its rows count instead of those of the record before.
    Instead,
    /// What came of it came with a snapshot; the record is kept for others, and to tell who wrote which row.
    Kept,
}

/// The part that the writer adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) version: u64,
    pub(crate) hlc: Hlc,
    pub(crate) first_seq: u64,
    pub(crate) epoch: u32,
    pub(crate) before: u32,
    pub(crate) group: u64,
    pub(crate) used: Use,
}

/// A header that was read and whose checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) place: Place,
    pub(crate) dataset: u32,
    rows: u32,
    description_bytes: u32,
    block_bytes: u32,
    stream_bytes: u32,
    checksum: u32,
    mark_bytes: u32,
}

/// What a record says, and its rows as they were written.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) mark: Option<Mark>,
    pub(crate) body: Body,
}

/// What stands for a dataset in a header.
pub(crate) fn dataset_mark(name: &str) -> u32 {
    crc32c::crc32c(name.as_bytes())
}

impl Body {
    /// Encodes rows: the stored schema without the version columns, so with the operation last.
    pub(crate) fn encode(description: &Description, rows: &RecordBatch) -> Result<Self, StoreError> {
        let mut stream = Vec::with_capacity(rows.get_array_memory_size() + 4096);
        let mut writer = StreamWriter::try_new(&mut stream, rows.schema_ref())?;
        writer.write(rows)?;
        writer.finish()?;
        drop(writer);
        let too_large = |actual: usize| StoreError::TooLarge {
            unit: "bytes",
            actual: actual as u64,
            max: limits::LOG_RECORD_BYTES_MAX as u64,
        };
        if stream.len() > limits::LOG_RECORD_BYTES_MAX {
            return Err(too_large(stream.len()));
        }
        let description_bytes = serde_json::to_vec(description).map_err(StoreError::encoding)?;
        Ok(Self {
            block: lz4_flex::block::compress(&stream).into(),
            stream_bytes: u32::try_from(stream.len()).map_err(|_| too_large(stream.len()))?,
            rows: u32::try_from(rows.num_rows()).map_err(|_| too_large(rows.num_rows()))?,
            dataset: dataset_mark(&description.dataset),
            description: description_bytes.into(),
        })
    }

    /// What the body says beside its rows.
    pub(crate) fn description(&self) -> Result<Description, StoreError> {
        serde_json::from_slice(&self.description).map_err(StoreError::encoding)
    }

    /// What the body says, and its rows.
    pub(crate) fn decode(&self) -> Option<(Description, RecordBatch)> {
        let description = self.description().ok()?;
        let stream_bytes = self.stream_bytes as usize;
        if stream_bytes > limits::LOG_RECORD_BYTES_MAX {
            return None;
        }
        let stream = lz4_flex::block::decompress(&self.block, stream_bytes).ok()?;
        let rows = StreamReader::try_new(stream.as_slice(), None).ok()?.next()?.ok()?;
        (rows.num_rows() == self.rows as usize).then_some((description, rows))
    }

    /// Bytes of the whole record but for a mark.
    pub(crate) fn len(&self) -> usize {
        (HEADER_BYTES + self.description.len() + self.block.len()).next_multiple_of(8)
    }

    /// Appends the record to `out`. `mark` is that of an entry, encoded, or empty.
    pub(crate) fn write(&self, place: &Place, mark: &[u8], seed: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let parts = [mark, &self.description, &self.block];
        let checksum = parts.iter().fold(seed, |sum, part| crc32c::crc32c_append(sum, part));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&place.version.to_le_bytes());
        out.extend_from_slice(&place.hlc.0.to_le_bytes());
        out.extend_from_slice(&place.first_seq.to_le_bytes());
        let words = [
            place.epoch,
            self.rows,
            self.description.len() as u32,
            self.block.len() as u32,
            self.stream_bytes,
            checksum,
            self.dataset,
            place.before,
        ];
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.extend_from_slice(&place.group.to_le_bytes());
        out.extend_from_slice(&(mark.len() as u32).to_le_bytes());
        out.extend_from_slice(&place.used.number().to_le_bytes());
        let sum = crc32c::crc32c_append(seed, &out[start + 8..start + HEADER_BYTES]);
        out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
        parts.iter().for_each(|part| out.extend_from_slice(part));
        out.resize((out.len() - start).next_multiple_of(8) + start, 0);
    }
}

impl Use {
    fn number(self) -> u32 {
        match self {
            Self::Rows => 0,
            Self::Carried => 1,
            Self::Instead => 2,
            Self::Kept => 3,
        }
    }

    fn of(number: u32) -> Option<Self> {
        [Self::Rows, Self::Carried, Self::Instead, Self::Kept].into_iter().find(|used| used.number() == number)
    }
}

impl Header {
    /// The header in `bytes`, or none where it is not one.
    pub(crate) fn read(bytes: &[u8], seed: u32) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if bytes[..4] != MAGIC || word(4) != crc32c::crc32c_append(seed, &bytes[8..]) {
            return None;
        }
        let place = Place {
            version: long(8),
            hlc: Hlc(long(16)),
            first_seq: long(24),
            epoch: word(32),
            before: word(60),
            group: long(64),
            used: Use::of(word(76))?,
        };
        let header = Self {
            place,
            rows: word(36),
            description_bytes: word(40),
            block_bytes: word(44),
            stream_bytes: word(48),
            checksum: word(52),
            dataset: word(56),
            mark_bytes: word(72),
        };
        (header.body_bytes() <= 2 * limits::LOG_RECORD_BYTES_MAX).then_some(header)
    }

    /// Bytes after the header, without the zeros at the end.
    pub(crate) fn body_bytes(&self) -> usize {
        [self.mark_bytes, self.description_bytes, self.block_bytes].iter().map(|bytes| *bytes as usize).sum()
    }

    /// Bytes of the whole record.
    pub(crate) fn record_bytes(&self) -> u64 {
        (HEADER_BYTES + self.body_bytes()).next_multiple_of(8) as u64
    }

    /// Mark, description and rows in `body`, which has [`Header::body_bytes`]; none where the checksum is wrong.
    pub(crate) fn content(&self, body: Bytes, seed: u32) -> Option<Content> {
        if body.len() != self.body_bytes() || crc32c::crc32c_append(seed, &body) != self.checksum {
            return None;
        }
        let mark = match self.mark_bytes as usize {
            0 => None,
            length => Some(mark::decode(&body[..length])?),
        };
        let description_start = self.mark_bytes as usize;
        let block_start = description_start + self.description_bytes as usize;
        let body = Body {
            description: body.slice(description_start..block_start),
            block: body.slice(block_start..),
            stream_bytes: self.stream_bytes,
            rows: self.rows,
            dataset: self.dataset,
        };
        Some(Content { mark, body })
    }
}

/// The schema of a record's rows: the stored one without the version columns.
pub(crate) fn logged_schema(stored: &SchemaRef) -> SchemaRef {
    let unlogged = |name: &str| crate::version::VERSION_COLUMNS.contains(&name);
    let fields = stored.fields().iter().filter(|field| !unlogged(field.name())).cloned().collect::<Vec<_>>();
    Arc::new(arrow::datatypes::Schema::new(fields))
}
