//! Messages of an Arrow IPC stream, read so that a length which is merely claimed takes no memory.

use std::io::{ErrorKind, Read};

use arrow::buffer::Buffer;
use arrow::ipc::{self, CompressionType, RecordBatch, root_as_message_with_opts};
use domicile_types::limits;
use flatbuffers::VerifierOptions;
use lz4_flex::frame::FrameDecoder;

use super::{Bytes, Format, broken_off};
use crate::StoreError;

/// One message: what it says about its body, and the body.
pub(super) struct Message {
    header: Vec<u8>,
    pub(super) body: Buffer,
}

/// Reads a message; none at the end marker. `row` are the rows before.
pub(super) fn read(bytes: &mut Bytes, row: u64) -> Result<Option<Message>, StoreError> {
    const CONTINUES: u32 = u32::MAX;
    let malformed = |problem: &str| {
        let problem = problem.to_owned();
        StoreError::Malformed { format: Format::ArrowStream, row, problem }
    };
    let oversized = |what, max, unit| {
        let advice = "send smaller batches";
        StoreError::Oversized { what, row, max, unit, advice }
    };
    let mut length = number(bytes, row)?;
    let marked = length == CONTINUES;
    if marked {
        length = number(bytes, row)?;
    }
    if length == 0 {
        let more = bytes.read(&mut [0]).map_err(broken_off)?;
        return if more == 0 { Ok(None) } else { Err(malformed("there are bytes behind its end marker")) };
    }
    if length > limits::ARROW_HEADER_BYTES_MAX && !marked {
        return Err(malformed("it is not an Arrow stream"));
    }
    if length > limits::ARROW_HEADER_BYTES_MAX {
        return Err(oversized("message header", limits::ARROW_HEADER_BYTES_MAX.into(), "bytes"));
    }
    let header = exactly(bytes, length.into(), row)?;
    let message = bounded(&header).map_err(|problem| malformed(&problem))?;
    let length = u64::try_from(message.bodyLength()).map_err(|_| malformed("a message has a negative length"))?;
    if length > limits::ARROW_MESSAGE_BYTES_MAX {
        return Err(oversized("message", limits::ARROW_MESSAGE_BYTES_MAX, "bytes"));
    }
    let rows = message.header_as_record_batch().map_or(0, |batch| batch.length());
    if usize::try_from(rows).map_err(|_| malformed("a batch has a negative length"))? > limits::ARROW_MESSAGE_ROWS_MAX {
        return Err(oversized("message", limits::ARROW_MESSAGE_ROWS_MAX as u64, "rows"));
    }
    let body = exactly(bytes, length, row)?.into();
    Ok(Some(Message { header, body }))
}

/// The message that a header describes. Parts of a header may be there once and be used any number of times; taken
/// apart, they have to keep to the limits as well.
pub(super) fn bounded(header: &[u8]) -> Result<ipc::Message<'_>, String> {
    const BYTES_MAX: usize = limits::ARROW_HEADER_BYTES_MAX as usize;
    let apart = VerifierOptions {
        max_tables: limits::ARROW_HEADER_TABLES_MAX,
        max_apparent_size: 2 * BYTES_MAX,
        ..VerifierOptions::default()
    };
    root_as_message_with_opts(&apart, header).map_err(|error| error.to_string())
}

impl Message {
    pub(super) fn header(&self) -> Result<ipc::Message<'_>, String> {
        bounded(&self.header)
    }

    /// Checks that what the batch says about the body keeps to the body and to the limits, once decompressed.
    /// Gives the bytes that the batch takes then.
    pub(super) fn check_body(&self, batch: RecordBatch<'_>) -> Result<u64, String> {
        let rows = usize::try_from(batch.length()).unwrap_or(usize::MAX);
        if rows > limits::ARROW_MESSAGE_ROWS_MAX {
            return Err(format!("a message exceeds {} rows", limits::ARROW_MESSAGE_ROWS_MAX));
        }
        let mut total = 0_u64;
        for buffer in batch.buffers().into_iter().flatten() {
            let range = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
            let end = range.and_then(|(start, length)| Some(start..start.checked_add(length)?));
            let bytes = end.and_then(|range| self.body.get(range)).ok_or("a column lies outside of its message")?;
            total = total.saturating_add(match (batch.compression(), bytes.first_chunk()) {
                (Some(_), Some(claimed)) => match i64::from_le_bytes(*claimed) {
                    -1 => bytes.len() as u64,
                    claimed => u64::try_from(claimed).map_err(|_| "a column has a negative length")?,
                },
                (Some(_), None) if !bytes.is_empty() => return Err("a compressed column is cut off".to_owned()),
                _ => bytes.len() as u64,
            });
        }
        if total > limits::ARROW_MESSAGE_BYTES_MAX {
            return Err(format!("a message exceeds {} bytes decompressed", limits::ARROW_MESSAGE_BYTES_MAX));
        }
        if batch.compression().is_some_and(|compression| compression.codec() == CompressionType::LZ4_FRAME) {
            batch.buffers().into_iter().flatten().try_for_each(|buffer| self.check_lz4(buffer))?;
        }
        Ok(total)
    }

    /// Checks that a buffer is as long as it says; its reader decompresses it to its end, however far that is. The
    /// buffer lies within the body.
    fn check_lz4(&self, buffer: &ipc::Buffer) -> Result<(), String> {
        let start = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
        let length = usize::try_from(buffer.length()).unwrap_or_default();
        let Some((claimed, frame)) = self.body[start..start + length].split_first_chunk() else { return Ok(()) };
        let Ok(claimed @ 1..) = u64::try_from(i64::from_le_bytes(*claimed)) else { return Ok(()) };
        let mut within = FrameDecoder::new(frame).take(claimed + 1);
        match std::io::copy(&mut within, &mut std::io::sink()) {
            Ok(actual) if actual <= claimed => Ok(()),
            Ok(_) => Err("a compressed column is longer than it says".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn number(bytes: &mut Bytes, row: u64) -> Result<u32, StoreError> {
    let mut number = [0; 4];
    bytes.read_exact(&mut number).map_err(|error| cut_off(error, row))?;
    Ok(u32::from_le_bytes(number))
}

/// Reads that many bytes, taking memory as they come.
fn exactly(bytes: &mut Bytes, length: u64, row: u64) -> Result<Vec<u8>, StoreError> {
    let mut read = Vec::new();
    bytes.by_ref().take(length).read_to_end(&mut read).map_err(broken_off)?;
    match read.len() as u64 == length {
        true => Ok(read),
        false => Err(cut_off(ErrorKind::UnexpectedEof.into(), row)),
    }
}

fn cut_off(error: std::io::Error, row: u64) -> StoreError {
    if error.kind() != ErrorKind::UnexpectedEof {
        return broken_off(error);
    }
    let problem = "it ends without its end marker".to_owned();
    StoreError::Malformed { format: Format::ArrowStream, row, problem }
}
