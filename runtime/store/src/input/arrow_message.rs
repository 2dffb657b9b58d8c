//! Messages of an Arrow IPC stream, read so that a length which is merely claimed takes no memory.

use std::io::{ErrorKind, Read};

use arrow::buffer::Buffer;
use arrow::ipc::{self, RecordBatch, root_as_message};
use domicile_types::limits;

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
    if length == CONTINUES {
        length = number(bytes, row)?;
    }
    if length == 0 {
        let more = bytes.read(&mut [0]).map_err(broken_off)?;
        return if more == 0 { Ok(None) } else { Err(malformed("there are bytes behind its end marker")) };
    }
    if length > limits::ARROW_HEADER_BYTES_MAX {
        return Err(oversized("message header", limits::ARROW_HEADER_BYTES_MAX.into(), "bytes"));
    }
    let header = exactly(bytes, length.into(), row)?;
    let message = root_as_message(&header).map_err(|error| malformed(&error.to_string()))?;
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

impl Message {
    pub(super) fn header(&self) -> Result<ipc::Message<'_>, String> {
        root_as_message(&self.header).map_err(|error| error.to_string())
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
        Ok(total)
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
