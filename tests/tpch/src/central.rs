//! What centralizing would have moved: the size of other regions' rows as compressed Parquet.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Result;
use domicile_harness::data::CentralBytes;
use domicile_harness::workspace::REGIONS;
use parquet::arrow::ArrowWriter;

use crate::files::{of_home, parquet_properties};
use crate::{Homes, Table};

/// What bringing the resident rows of all other regions to `center` would move, once with all columns and once with
/// only the columns in `needed`.
///
/// # Errors
/// Where rows cannot be generated or written.
pub fn central_bytes(scale: f64, center: &str, needed: &[&str]) -> Result<CentralBytes> {
    let homes = Homes::new(scale)?;
    let mut sum = CentralBytes::default();
    for table in Table::RESIDENT {
        let schema = table.schema();
        let columns: Vec<usize> =
            (0..schema.fields().len()).filter(|index| needed.contains(&schema.field(*index).name().as_str())).collect();
        for index in (0..REGIONS.len()).filter(|index| REGIONS[*index] != center) {
            let all: Vec<usize> = (0..schema.fields().len()).collect();
            sum.whole += parquet_bytes(table, scale, &homes, index, &all)?;
            if !columns.is_empty() {
                sum.needed += parquet_bytes(table, scale, &homes, index, &columns)?;
            }
        }
    }
    Ok(sum)
}

fn parquet_bytes(table: Table, scale: f64, homes: &Homes, region: usize, columns: &[usize]) -> Result<u64> {
    let mut rows = homes.of_rows(table)?;
    let schema = Arc::new(table.schema().project(columns)?);
    let mut writer = ArrowWriter::try_new(Counter::default(), schema, Some(parquet_properties()))?;
    for batch in table.batches(scale) {
        let batch = batch?;
        let batch = of_home(&batch, &rows.of_batch(&batch)?, region)?;
        writer.write(&batch.project(columns)?)?;
    }
    Ok(writer.into_inner()?.bytes)
}

#[derive(Default)]
struct Counter {
    bytes: u64,
}

impl Write for Counter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.bytes += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
