//! Files that a user could load: CSV for the small tables, Parquet for the large ones.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use domicile_harness::data::DataFile;
use domicile_harness::workspace::REGIONS;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::{Homes, Table};

/// Writes every table at a scale factor below `dir`, and lists the files in an order in which they can be loaded.
/// ///
/// # Errors
/// Where a file cannot be written.
pub fn write(scale: f64, dir: &Path) -> Result<Vec<DataFile>> {
    let homes = Homes::new(scale)?;
    let mut files = Vec::new();
    for table in Table::ALL {
        if table.is_resident() {
            files.extend(write_resident(table, scale, dir, &homes)?);
        } else {
            let file = write_reference(table, scale, dir)?;
            files.extend(REGIONS.map(|region| DataFile { region: region.to_owned(), ..file.clone() }));
        }
    }
    Ok(files)
}

fn write_reference(table: Table, scale: f64, dir: &Path) -> Result<DataFile> {
    let mut writer = TableWriter::create(table, &dir.join("reference"))?;
    for batch in table.batches(scale) {
        writer.write(&batch?)?;
    }
    writer.finish(table, REGIONS[0])
}

fn write_resident(table: Table, scale: f64, dir: &Path, homes: &Homes) -> Result<Vec<DataFile>> {
    let mut rows = homes.of_rows(table)?;
    let mut writers = Vec::new();
    for region in REGIONS {
        writers.push(TableWriter::create(table, &dir.join(region))?);
    }
    for batch in table.batches(scale) {
        let batch = batch?;
        let homes = rows.of_batch(&batch)?;
        for (region, writer) in writers.iter_mut().enumerate() {
            writer.write(&of_home(&batch, &homes, region)?)?;
        }
    }
    writers.into_iter().zip(REGIONS).map(|(writer, region)| writer.finish(table, region)).collect()
}

/// The rows of a batch whose home is the region of that index.
pub(crate) fn of_home(batch: &RecordBatch, homes: &[usize], region: usize) -> Result<RecordBatch> {
    let mask: BooleanArray = homes.iter().map(|home| Some(*home == region)).collect();
    Ok(filter_record_batch(batch, &mask)?)
}

/// Properties of every Parquet file we write: zstd, as one would centralize it.
pub(crate) fn parquet_properties() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build()
}

struct TableWriter {
    path: PathBuf,
    rows: u64,
    sink: Sink,
}

enum Sink {
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Parquet(Box<ArrowWriter<File>>),
}

impl TableWriter {
    fn create(table: Table, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let extension = if table.is_csv() { "csv" } else { "parquet" };
        let path = dir.join(format!("{}.{extension}", table.name()));
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let sink = if table.is_csv() { csv_sink(file) } else { parquet_sink(file, table.schema())? };
        Ok(Self { path, rows: 0, sink })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        match &mut self.sink {
            Sink::Csv(writer) => writer.write(batch)?,
            Sink::Parquet(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    fn finish(self, table: Table, region: &str) -> Result<DataFile> {
        match self.sink {
            Sink::Csv(writer) => drop(writer.into_inner().into_inner()?),
            Sink::Parquet(writer) => drop(writer.close()?),
        }
        let bytes = fs::metadata(&self.path)?.len();
        Ok(DataFile {
            region: region.to_owned(),
            dataset: table.name().to_owned(),
            resident: table.is_resident(),
            path: self.path,
            rows: self.rows,
            bytes,
        })
    }
}

fn csv_sink(file: File) -> Sink {
    Sink::Csv(Box::new(csv::WriterBuilder::new().with_header(true).build(BufWriter::new(file))))
}

fn parquet_sink(file: File, schema: SchemaRef) -> Result<Sink> {
    Ok(Sink::Parquet(Box::new(ArrowWriter::try_new(file, schema, Some(parquet_properties()))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_written_once_and_always_alike() -> Result<()> {
        let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let files = write(0.001, first.path())?;
        for table in Table::ALL {
            let expected: usize = table.batches(0.001).map(|batch| Ok(batch?.num_rows())).sum::<Result<usize>>()?;
            let of_table = files.iter().filter(|file| file.dataset == table.name());
            let copies = if table.is_resident() { 1 } else { REGIONS.len() };
            assert_eq!(of_table.map(|file| file.rows).sum::<u64>(), (expected * copies) as u64, "{table:?}");
        }
        for (a, b) in files.iter().zip(write(0.001, second.path())?) {
            assert_eq!(fs::read(&a.path)?, fs::read(&b.path)?, "{}", a.path.display());
        }
        Ok(())
    }

    #[test]
    fn csv_files_have_a_header_and_plain_values() -> Result<()> {
        let dir = tempfile::tempdir()?;
        write_resident(Table::Customer, 0.001, dir.path(), &Homes::new(0.001)?)?;
        let text = fs::read_to_string(dir.path().join("us-east/customer.csv"))?;
        let mut lines = text.lines();
        let header = "c_custkey,c_name,c_address,c_nationkey,c_phone,c_acctbal,c_mktsegment,c_comment";
        assert_eq!(lines.next(), Some(header));
        assert!(lines.all(|line| line.contains(",Customer#0000")));
        Ok(())
    }
}
