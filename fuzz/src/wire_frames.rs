//! A fragment's answer from a peer: frames, then the Arrow stream in them.

use domicile_wire::frame;

use crate::oracle;

/// The first byte says what the others are: the body itself, or an Arrow stream that is yet to be framed. Without the
/// second kind no mutation would get through the compression.
pub(crate) fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    let decoded = if kind % 2 == 0 { frame::decode(bytes) } else { frame::decode(&framed(bytes, *kind)) };
    let Ok((schema, batches)) = decoded else { return };
    for batch in &batches {
        assert_eq!(batch.schema(), schema, "a batch has another schema than its stream");
        batch.columns().iter().for_each(oracle::check);
    }
    // Not everything that can be read can be written, but what is written is read as it was.
    let Ok(body) = frame::encode(&schema, &batches) else { return };
    let (_, again) = frame::decode(&body).expect("what was encoded does not decode");
    let rows = |batches: &[arrow::array::RecordBatch]| batches.iter().map(|batch| batch.num_rows()).sum::<usize>();
    assert_eq!(rows(&again), rows(&batches), "rows were lost or added");
}

/// The stream in frames of a few sizes, with the end frame.
fn framed(stream: &[u8], kind: u8) -> Vec<u8> {
    let size = [stream.len().max(1), 64, 1000][usize::from(kind / 2) % 3];
    let mut body = Vec::new();
    let mut push = |raw: usize, stored: &[u8]| {
        for length in [raw, stored.len()] {
            body.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        }
        body.extend_from_slice(stored);
    };
    for chunk in stream.chunks(size) {
        push(chunk.len(), &lz4_flex::block::compress(chunk));
    }
    push(0, &[]);
    body
}
