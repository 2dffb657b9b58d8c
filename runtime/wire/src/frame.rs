//! Record batches as lz4 frames.
//!
//! A body is a sequence of frames: raw length (`u32`, little endian), stored length (`u32`), then an lz4 block. The
//! raw bytes of all frames together are one Arrow IPC stream. A frame of raw length zero ends the body, so that a
//! broken connection is never mistaken for a short answer.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use domicile_types::limits::{FRAGMENT_BYTES_MAX, FRAME_BYTES_MAX};

use crate::{WireError, stream};

const HEADER_BYTES: usize = 8;

/// The body that carries `batches`, all of `schema`.
///
/// # Errors
/// Where a batch does not have the schema, or the body passes the limit for one fragment.
pub fn encode(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, WireError> {
    let raw = ipc_stream(schema, batches).map_err(|e| WireError::Frame { offset: 0, detail: e.to_string() })?;
    let mut body = Vec::with_capacity(raw.len() / 2 + HEADER_BYTES);
    for chunk in raw.chunks(FRAME_BYTES_MAX) {
        let stored = lz4_flex::block::compress(chunk);
        push_header(&mut body, chunk.len(), stored.len());
        body.extend_from_slice(&stored);
    }
    push_header(&mut body, 0, 0);
    if body.len() as u64 > FRAGMENT_BYTES_MAX {
        return Err(WireError::TooLarge { what: "a fragment's answer", limit: FRAGMENT_BYTES_MAX });
    }
    Ok(body)
}

fn ipc_stream(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    writer.into_inner()
}

fn push_header(body: &mut Vec<u8>, raw: usize, stored: usize) {
    // Both are bounded by FRAME_BYTES_MAX plus lz4's small worst-case overhead, far below 2^32.
    body.extend_from_slice(&(raw as u32).to_le_bytes());
    body.extend_from_slice(&(stored as u32).to_le_bytes());
}

/// The schema and batches that `body` carries.
///
/// # Errors
/// Where a frame is damaged or oversized, the end is missing, or the bytes are not an Arrow IPC stream.
pub fn decode(body: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), WireError> {
    let mut raw = Vec::new();
    let mut offset = 0;
    while let Some(frame) = next_frame(body, offset)? {
        raw.extend_from_slice(&frame.raw);
        if raw.len() as u64 > FRAGMENT_BYTES_MAX {
            return Err(WireError::TooLarge { what: "a fragment's answer", limit: FRAGMENT_BYTES_MAX });
        }
        offset = frame.end;
    }
    // The IPC reader panics on some schemas that no writer makes, and a peer's bytes must not end a task here. It
    // reads into values of its own, so nothing is left half-done.
    let read = std::panic::catch_unwind(|| stream::read(raw));
    let damaged = |detail: String| WireError::Frame { offset: 0, detail };
    read.map_err(|_| damaged("not an Arrow stream".to_owned()))?.map_err(damaged)
}

struct Frame {
    raw: Vec<u8>,
    end: usize,
}

fn next_frame(body: &[u8], offset: usize) -> Result<Option<Frame>, WireError> {
    let damaged = |detail: &str| WireError::Frame { offset, detail: detail.to_owned() };
    let header =
        body.get(offset..offset + HEADER_BYTES).ok_or_else(|| damaged("the body ends without an end frame"))?;
    let length = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let (raw_len, stored_len) = (length(0), length(4));
    let start = offset + HEADER_BYTES;
    if raw_len == 0 {
        return if start == body.len() { Ok(None) } else { Err(damaged("bytes after the end frame")) };
    }
    if raw_len > FRAME_BYTES_MAX {
        return Err(WireError::TooLarge { what: "a frame", limit: FRAME_BYTES_MAX as u64 });
    }
    let stored =
        body.get(start..start.saturating_add(stored_len)).ok_or_else(|| damaged("the body ends inside a frame"))?;
    let raw = lz4_flex::block::decompress(stored, raw_len).map_err(|e| damaged(&e.to_string()))?;
    if raw.len() != raw_len {
        return Err(damaged("the frame is shorter than its header says"));
    }
    Ok(Some(Frame { raw, end: start + stored_len }))
}
