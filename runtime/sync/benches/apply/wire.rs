//! What entries take on the way, against Parquet of the same rows.

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::region::entries;
use crate::rows::Bodies;
use crate::{answers, bodies};

/// The level that zstd itself takes where nobody says one.
const ZSTD_LEVEL: i32 = 3;

/// Bytes of the same rows.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// As entries.
    pub(crate) bytes: u64,
    /// As they would be if each answer travelled packed once with zstd, the rows in it not packed with LZ4 before.
    pub(crate) zstd_bytes: u64,
    /// The same, of answers with one entry each.
    pub(crate) zstd_of_each_bytes: u64,
    /// As one Parquet file.
    pub(crate) parquet_bytes: u64,
    /// As a Parquet file for each entry.
    pub(crate) parquet_of_each_bytes: u64,
    /// Of the entries that are not the rows': what they have beyond an Arrow stream of the rows in one LZ4 block each.
    pub(crate) metadata_bytes: i64,
}

/// Puts both beside each other.
pub(crate) fn compare(dir: &Path) -> Result<Wire> {
    let mut wire = Wire::default();
    for answer in Bodies::open(&answers(dir))? {
        let mut unpacked = Vec::new();
        for entry in entries(answer?)? {
            let mut encoded = Vec::new();
            entry.encode(&mut encoded)?;
            wire.bytes += encoded.len() as u64;
            wire.metadata_bytes += encoded.len() as i64;
            let before = unpacked.len();
            unpack(&encoded, &mut unpacked)?;
            wire.zstd_of_each_bytes += zstd::bulk::compress(&unpacked[before..], ZSTD_LEVEL)?.len() as u64;
        }
        wire.zstd_bytes += zstd::bulk::compress(&unpacked, ZSTD_LEVEL)?.len() as u64;
    }
    let mut whole: Option<ArrowWriter<Vec<u8>>> = None;
    for body in Bodies::open(&bodies(dir))? {
        let rows = StreamReader::try_new(Cursor::new(body?), None)?.next().context("a batch")??;
        wire.parquet_of_each_bytes += parquet_of(&rows)?;
        wire.metadata_bytes -= stream_of(&rows)? as i64;
        let writer = match &mut whole {
            Some(writer) => writer,
            None => whole.insert(writer(&rows)?),
        };
        writer.write(&rows)?;
    }
    wire.parquet_bytes = whole.context("rows")?.into_inner()?.len() as u64;
    Ok(wire)
}

/// Appends an entry with its rows unpacked.
fn unpack(encoded: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let number = |at: usize| anyhow::Ok(u32::from_le_bytes(encoded[4 * at..4 * at + 4].try_into()?) as usize);
    let block = encoded.len() - number(2)?;
    out.extend_from_slice(&encoded[..block]);
    out.extend_from_slice(&lz4_flex::block::decompress(&encoded[block..], number(3)?)?);
    Ok(())
}

fn writer(rows: &RecordBatch) -> Result<ArrowWriter<Vec<u8>>> {
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?)).build();
    Ok(ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?)
}

fn parquet_of(rows: &RecordBatch) -> Result<u64> {
    let mut writer = writer(rows)?;
    writer.write(rows)?;
    Ok(writer.into_inner()?.len() as u64)
}

fn stream_of(rows: &RecordBatch) -> Result<usize> {
    let mut stream = StreamWriter::try_new(Vec::new(), rows.schema_ref())?;
    stream.write(rows)?;
    Ok(lz4_flex::block::compress(&stream.into_inner()?).len())
}
