//! Answers of fragments, plain and framed.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use domicile_wire::frame;

use crate::Seed;

/// A seed of each type as a body, as a stream in frames of two sizes, and what is broken.
pub(crate) fn seeds() -> Result<Vec<Seed>, Box<dyn std::error::Error>> {
    let mut seeds = Vec::new();
    let mut push = |name: &str, kind: u8, bytes: &[u8]| {
        seeds.push(("wire_frames", name.to_owned(), [&[kind], bytes].concat()));
    };
    for (name, array) in columns() {
        let batch = RecordBatch::try_from_iter([(name, array)])?;
        push(name, 0, &frame::encode(&batch.schema(), std::slice::from_ref(&batch))?);
        push(&format!("{name}-stream"), 1, &stream(&[batch])?);
    }
    let wide = RecordBatch::try_from_iter(columns())?;
    push("wide-body", 0, &frame::encode(&wide.schema(), &[wide.slice(0, 1), wide.slice(1, 2)])?);
    push("wide-stream", 3, &stream(&[wide.slice(0, 1), wide.slice(1, 2)])?);
    // Refused, as are all whose bodies are compressed.
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let repeated = RecordBatch::try_from_iter([("text", Arc::new(StringArray::from(vec!["same"; 100])) as ArrayRef)])?;
    push("compressed-stream", 1, &stream_with(&[repeated], options)?);
    push("no-rows", 0, &frame::encode(&wide.schema(), &[])?);
    push("no-frames", 0, &[0; 8]);
    push("cut", 0, &[9, 0, 0, 0, 1, 0, 0]);
    Ok(seeds)
}

fn columns() -> [(&'static str, ArrayRef); 6] {
    [
        ("bigint", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)]))),
        ("double", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(f64::NAN)]))),
        ("text", Arc::new(StringArray::from(vec![Some("Zürich"), None, Some("")]))),
        ("date", Arc::new(Date32Array::from(vec![Some(0), None, Some(-719_162)]))),
        ("boolean", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(b"\0\xff".as_slice()), None, Some(b"")]))),
    ]
}

fn stream(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    stream_with(batches, IpcWriteOptions::default())
}

fn stream_with(batches: &[RecordBatch], options: IpcWriteOptions) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    writer.into_inner()
}
