//! Arrow IPC streams from other regions, read so that a length which is merely claimed takes no memory.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::{Message, root_as_message_with_opts};
use domicile_types::limits::{ARROW_HEADER_BYTES_MAX, ARROW_HEADER_TABLES_MAX, FRAGMENT_ROWS_MAX};
use flatbuffers::VerifierOptions;

/// What comes before the length of a message's header.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The schema and batches of a stream.
///
/// # Errors
/// Where it is not one, or is one that no region writes.
pub(crate) fn read(stream: Vec<u8>) -> Result<(SchemaRef, Vec<RecordBatch>), String> {
    check(&stream)?;
    let (mut decoder, mut rest, mut batches) = (StreamDecoder::new(), Buffer::from(stream), Vec::new());
    while let Some(batch) = decoder.decode(&mut rest).map_err(|error| error.to_string())? {
        batches.push(batch);
    }
    decoder.finish().map_err(|error| error.to_string())?;
    let schema = decoder.schema().ok_or("the stream has no schema")?;
    Ok((schema, batches))
}

/// Checks what messages say of themselves before any of it is believed.
fn check(mut rest: &[u8]) -> Result<(), String> {
    let mut rows_left = FRAGMENT_ROWS_MAX;
    while !rest.is_empty() {
        let header = header(&mut rest)?;
        if header.is_empty() {
            return if rest.is_empty() { Ok(()) } else { Err("there are bytes behind the end marker".to_owned()) };
        }
        // Headers lie anywhere in the stream, and are read in place only where they are aligned.
        let header = header.to_vec();
        let message = bounded(&header)?;
        let body = usize::try_from(message.bodyLength()).ok().and_then(|length| rest.split_at_checked(length));
        (_, rest) = body.ok_or("a message ends early")?;
        rows_left = check_message(message, rows_left)?;
    }
    Ok(())
}

/// The header of the next message; empty at the end marker.
fn header<'s>(rest: &mut &'s [u8]) -> Result<&'s [u8], String> {
    const CUT: &str = "the stream ends inside a message";
    let mut length = take_number(rest).ok_or(CUT)?;
    if length == CONTINUATION {
        length = take_number(rest).ok_or(CUT)?;
    }
    let length = u32::from_le_bytes(length);
    if length > ARROW_HEADER_BYTES_MAX {
        return Err(format!("the header of a message exceeds {ARROW_HEADER_BYTES_MAX} bytes"));
    }
    let (header, after) = rest.split_at_checked(length as usize).ok_or(CUT)?;
    *rest = after;
    Ok(header)
}

fn take_number(rest: &mut &[u8]) -> Option<[u8; 4]> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*number)
}

/// The message that a header describes. Parts of a header may be there once and be used any number of times; taken
/// apart, they have to keep to the limits as well.
fn bounded(header: &[u8]) -> Result<Message<'_>, String> {
    let apart = VerifierOptions {
        max_tables: ARROW_HEADER_TABLES_MAX,
        max_apparent_size: 2 * ARROW_HEADER_BYTES_MAX as usize,
        ..VerifierOptions::default()
    };
    root_as_message_with_opts(&apart, header).map_err(|error| error.to_string())
}

/// Gives the rows that further messages may have.
fn check_message(message: Message<'_>, rows_left: usize) -> Result<usize, String> {
    let dictionary = message.header_as_dictionary_batch();
    let batch = message.header_as_record_batch().or_else(|| dictionary.and_then(|dictionary| dictionary.data()));
    let Some(batch) = batch else { return Ok(rows_left) };
    // Frames are compressed, so that bodies are not. Their decompression would believe the lengths that they claim.
    if batch.compression().is_some() {
        return Err("a message has a compressed body, and only frames are compressed".to_owned());
    }
    // Columns that are wholly missing have no bytes, so bytes do not bound rows.
    let rows = usize::try_from(batch.length()).ok().and_then(|rows| rows_left.checked_sub(rows));
    rows.ok_or_else(|| format!("the stream has more than {FRAGMENT_ROWS_MAX} rows"))
}
