//! CSV: header checked, rows decoded as text, then parsed by column.

use std::io::BufRead;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use csv_core::ReadRecordResult;
use domicile_types::limits;

use super::columns::{self, Wanted};
use super::texts::Texts;
use super::{Bytes, Format, broken_off};
use crate::refusals::Refusals;
use crate::{HeaderProblem, StoreError};

/// Rows as CSV, behind their header.
pub(crate) struct CsvInput {
    records: Records,
    /// Position in the file of each wanted column.
    positions: Vec<usize>,
    texts: Texts,
    target: SchemaRef,
}

impl CsvInput {
    pub(super) fn open(bytes: Bytes, wanted: &Wanted) -> Result<Self, StoreError> {
        let mut records = Records::new(bytes);
        if !records.read()? {
            return Err(wanted.refuse(HeaderProblem::Empty));
        }
        let names = (0..records.fields).map(|field| records.field(field)).collect::<Result<Vec<_>, _>>()?;
        let positions = wanted.positions(&names)?;
        records.start_rows();
        Ok(Self { records, positions, texts: Texts::new(&wanted.schema), target: SchemaRef::clone(&wanted.schema) })
    }

    pub(super) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        while !self.texts.is_full() && self.records.read()? {
            for (column, position) in self.positions.iter().enumerate() {
                let value = self.records.field(*position)?;
                self.texts.push(column, (!value.is_empty()).then_some(value));
            }
            self.texts.end_row();
        }
        let Some(texts) = self.texts.take()? else { return Ok(None) };
        columns::parse(&texts, &self.target, offset, refusals).map(Some)
    }
}

/// Records, one at a time.
struct Records {
    bytes: Bytes,
    csv: csv_core::Reader,
    /// The fields of the present record, one behind the other, and room for more.
    text: Vec<u8>,
    length: usize,
    /// Where each field of the present record ends, and room for more.
    ends: Vec<usize>,
    fields: usize,
    /// Fields that each record has; none before the header is read.
    width: Option<usize>,
    rows: u64,
}

impl Records {
    fn new(bytes: Bytes) -> Self {
        let (text, ends) = (vec![0; 4096], vec![0; 64]);
        Self { bytes, csv: csv_core::Reader::new(), text, length: 0, ends, fields: 0, width: None, rows: 0 }
    }

    /// Ends the header: each record from here on is a row with as many fields.
    fn start_rows(&mut self) {
        self.width = Some(self.fields);
        self.ends.resize(self.fields + 1, 0);
    }

    /// Reads a record; false where there is none left.
    fn read(&mut self) -> Result<bool, StoreError> {
        (self.length, self.fields) = (0, 0);
        loop {
            let input = self.bytes.fill_buf().map_err(broken_off)?;
            let (text, ends) = (&mut self.text[self.length..], &mut self.ends[self.fields..]);
            let (result, read, written, ended) = self.csv.read_record(input, text, ends);
            self.bytes.consume(read);
            self.length += written;
            self.fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.grow_text()?,
                ReadRecordResult::OutputEndsFull if self.width.is_none() => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => return Err(self.wrong_width("more")),
                ReadRecordResult::Record => return self.count().map(|()| true),
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    fn count(&mut self) -> Result<(), StoreError> {
        match self.width {
            None => Ok(()),
            Some(width) if width == self.fields => {
                self.rows += 1;
                Ok(())
            }
            Some(width) if self.fields < width => Err(self.wrong_width("fewer")),
            Some(_) => Err(self.wrong_width("more")),
        }
    }

    fn grow_text(&mut self) -> Result<(), StoreError> {
        let max = match self.width {
            None => limits::CSV_HEADER_BYTES_MAX,
            Some(_) => limits::ROW_BYTES_MAX,
        };
        if self.text.len() >= max {
            let advice = "look for a quote that is never closed";
            return Err(StoreError::Oversized { what: "row", row: self.rows, max: max as u64, unit: "bytes", advice });
        }
        self.text.resize((self.text.len() * 2).min(max), 0);
        Ok(())
    }

    /// A field of the present record.
    fn field(&self, field: usize) -> Result<&str, StoreError> {
        let start = field.checked_sub(1).map_or(0, |before| self.ends[before]);
        std::str::from_utf8(&self.text[start..self.ends[field]]).map_err(|_| {
            let problem = format!("field {} of the next row is not UTF-8", field + 1);
            self.malformed(self.rows.saturating_sub(1), problem)
        })
    }

    fn wrong_width(&self, than: &str) -> StoreError {
        let names = self.width.unwrap_or_default();
        self.malformed(self.rows, format!("the next row has {than} fields than the {names} of the first line"))
    }

    fn malformed(&self, row: u64, problem: String) -> StoreError {
        StoreError::Malformed { format: Format::Csv, row, problem }
    }
}
