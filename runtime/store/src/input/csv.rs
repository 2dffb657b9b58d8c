//! CSV: header checked, rows decoded as text, then parsed by column.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::{Decoder, Format};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use domicile_types::limits;

use super::{BATCH_ROWS, columns};
use crate::catalog::Entry;
use crate::refusals::Refusals;
use crate::{HeaderProblem, StoreError};

/// An open CSV file.
pub(crate) struct CsvInput {
    path: PathBuf,
    reader: BufReader<File>,
    decoder: Decoder,
    target: SchemaRef,
    rows: u64,
}

impl CsvInput {
    pub(super) fn open(path: &Path, entry: &Entry) -> Result<Self, StoreError> {
        let names = header(path)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if names.is_empty() {
            let dataset = entry.spec.dataset.name.clone();
            return Err(StoreError::Header { dataset, problem: HeaderProblem::Empty });
        }
        let positions = columns::positions(entry, &names)?;
        let texts = Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>());
        let decoder = ReaderBuilder::new(Arc::new(texts))
            .with_header(true)
            .with_batch_size(BATCH_ROWS)
            .with_projection(positions)
            .build_decoder();
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let reader = BufReader::with_capacity(256 * 1024, file);
        Ok(Self { path: path.to_owned(), reader, decoder, target: columns::lenient(&entry.schema), rows: 0 })
    }

    pub(super) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        self.fill()?;
        let Some(texts) = self.decoder.flush().map_err(|source| StoreError::Csv { row: self.rows, source })? else {
            return Ok(None);
        };
        self.rows += texts.num_rows() as u64;
        columns::parse(&texts, &self.target, offset, refusals).map(Some)
    }

    /// Decodes until a batch is full or the file ends.
    fn fill(&mut self) -> Result<(), StoreError> {
        let mut bytes = 0;
        loop {
            let buffer = self.reader.fill_buf().map_err(StoreError::io("read", &self.path))?;
            let decoded = self.decoder.decode(buffer).map_err(|source| StoreError::Csv { row: self.rows, source })?;
            self.reader.consume(decoded);
            bytes += decoded;
            if bytes > limits::CSV_BATCH_BYTES_MAX {
                return Err(StoreError::CsvBatch { row: self.rows, max: limits::CSV_BATCH_BYTES_MAX });
            }
            if decoded == 0 || self.decoder.capacity() == 0 {
                return Ok(());
            }
        }
    }
}

/// The column names in the first row.
fn header(path: &Path) -> Result<Vec<String>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let start = BufReader::new(file.take(limits::CSV_HEADER_BYTES_MAX));
    let (schema, _) = Format::default()
        .with_header(true)
        .infer_schema(start, Some(0))
        .map_err(|source| StoreError::Csv { row: 0, source })?;
    Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
}
