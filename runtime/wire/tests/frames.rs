//! Frames: what was sent arrives, and nothing else is taken for it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, NullArray, RecordBatch, StringArray};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use domicile_types::limits::FRAGMENT_ROWS_MAX;
use domicile_wire::WireError;
use domicile_wire::frame::{decode, encode};

fn batch(rows: i64) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter((0..rows).map(|n| (n % 7 != 0).then_some(n))));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|n| format!("group {}", n % 13))));
    RecordBatch::try_from_iter_with_nullable([("number", numbers, true), ("text", texts, false)]).unwrap()
}

#[track_caller]
fn check_round_trip(batches: &[RecordBatch]) {
    let schema = batch(0).schema();
    let body = encode(&schema, batches).unwrap();
    let (decoded_schema, decoded) = decode(&body).unwrap();
    assert_eq!(decoded_schema.fields().len(), schema.fields().len());
    assert_eq!(decoded, batches);
}

#[test]
fn batches_arrive_as_they_were() {
    check_round_trip(&[]);
    check_round_trip(&[batch(1)]);
    check_round_trip(&[batch(10), batch(5000)]);
}

#[test]
fn several_frames_make_one_body() {
    // 24 bytes and more a row: past the 16 MiB of one frame.
    check_round_trip(&[batch(800_000)]);
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    let body = encode(&batch(0).schema(), &[batch(50)]).unwrap();
    for end in 0..body.len() {
        assert!(decode(&body[..end]).is_err(), "cut at {end} of {}", body.len());
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut body = encode(&batch(0).schema(), &[batch(3)]).unwrap();
    body.push(0);
    assert!(matches!(decode(&body), Err(WireError::Frame { .. })));
}

#[test]
fn a_frame_that_claims_more_than_the_limit_is_refused_before_it_is_read() {
    let mut body = u32::MAX.to_le_bytes().to_vec();
    body.extend_from_slice(&4_u32.to_le_bytes());
    body.extend_from_slice(&[0; 12]);
    assert!(matches!(decode(&body), Err(WireError::TooLarge { .. })));
}

/// A body with one frame, which has this stream.
fn framed(stream: &[u8]) -> Vec<u8> {
    let stored = lz4_flex::block::compress(stream);
    let lengths = [stream.len(), stored.len()].map(|length| u32::try_from(length).unwrap().to_le_bytes());
    [lengths.concat(), stored, vec![0; 8]].concat()
}

fn stream(batch: &RecordBatch, options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

#[track_caller]
fn check_refused(stream: &[u8], expect: &str) {
    let error = decode(&framed(stream)).unwrap_err().to_string();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn bodies_that_claim_a_length_are_refused_before_memory_is_taken() {
    let plain = stream(&batch(5000), IpcWriteOptions::default());
    assert_eq!(decode(&framed(&plain)).unwrap().1, [batch(5000)]);
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
    check_refused(&stream(&batch(5000), options), "only frames are compressed");
}

#[test]
fn rows_without_bytes_are_counted() {
    let missing = |rows: usize| {
        let column: ArrayRef = Arc::new(NullArray::new(rows));
        stream(&RecordBatch::try_from_iter([("missing", column)]).unwrap(), IpcWriteOptions::default())
    };
    assert_eq!(decode(&framed(&missing(FRAGMENT_ROWS_MAX))).unwrap().1[0].num_rows(), FRAGMENT_ROWS_MAX);
    check_refused(&missing(FRAGMENT_ROWS_MAX + 1), "more than 1000000 rows");
    check_refused(&missing(1 << 60), "more than 1000000 rows");
}

#[test]
fn damage_never_panics() {
    let body = encode(&batch(0).schema(), &[batch(8)]).unwrap();
    for at in 0..body.len() {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = body.clone();
            damaged[at] ^= flip;
            // The receipt's digest, not the frame, finds changed values; here it is enough to come back.
            let _ = decode(&damaged);
        }
    }
}
