//! The pages of a Parquet file, looked at before Parquet's own reader decompresses them: how many rows can be read at a
//! time within [`limits::PARQUET_READ_BYTES_MAX`].

use std::fs::File;
use std::os::unix::fs::FileExt;

use arrow::datatypes::{DataType, Schema};
use domicile_types::limits;
use parquet::basic::{Compression, Type};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::BATCH_ROWS;
use super::thrift::{CUT_OFF, Kind, Thrift};

/// Rows that may be read at a time: the first that fits is taken.
const STEPS: [usize; 7] = [BATCH_ROWS, 2048, 512, 128, 32, 8, 1];

/// Bytes of a page's header that are read at first. Few have more.
const HEADER_BYTES: u64 = 1024;

/// How many rows of a row group can be read at a time; none where not even one.
pub(super) fn rows_at_once(file: &File, group: &RowGroupMetaData, schema: &Schema) -> Result<Option<usize>, String> {
    let end = file.metadata().map_err(|error| error.to_string())?.len();
    let mut held = [0_u64; STEPS.len()];
    // Columns that share their bytes could make a small file a long one.
    let mut unread = end;
    for (column, field) in group.columns().iter().zip(schema.fields()) {
        let mut chunk = Chunk::new(file, column, field.data_type() == &DataType::Utf8View)?;
        unread = unread.checked_sub(chunk.left).ok_or("its columns claim more bytes than it has")?;
        while chunk.left > 0 {
            chunk.page()?;
        }
        for (held, (step, bytes)) in held.iter_mut().zip(STEPS.iter().zip(chunk.held())) {
            // Each column has as many rows, in at most 32 bytes besides its pages.
            *held = held.saturating_add(bytes).saturating_add(*step as u64 * 32);
        }
    }
    Ok(STEPS.into_iter().zip(held).find(|(_, held)| *held <= limits::PARQUET_READ_BYTES_MAX).map(|(step, _)| step))
}

/// The pages of one column in one row group.
struct Chunk<'a> {
    file: &'a File,
    physical: Type,
    /// Bytes of each value, where the schema says so.
    value_bytes: u64,
    /// Whether values are read as views of their pages, so that those stay as long as the values do.
    views: bool,
    at: u64,
    left: u64,
    rows: u64,
    /// Bytes of the dictionary's page, and with what is built from it.
    dictionary: Option<(u64, u64)>,
    largest: u64,
    windows: [Window; STEPS.len()],
}

impl<'a> Chunk<'a> {
    fn new(file: &'a File, column: &ColumnChunkMetaData, views: bool) -> Result<Self, String> {
        let codec = column.compression();
        // The readers of other codecs decompress on, whatever the size was said to be.
        if !matches!(
            codec,
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW
        ) {
            let name = column.column_path();
            return Err(format!("column `{name}` is compressed by {codec}; take zstd, snappy, LZ4_RAW or none"));
        }
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        let (start, length) = (u64::try_from(start), u64::try_from(column.compressed_size()));
        let (at, left) = start.ok().zip(length.ok()).ok_or("a column has a negative length")?;
        Ok(Self {
            file,
            physical: column.column_type(),
            value_bytes: u64::try_from(column.column_descr().type_length()).unwrap_or_default(),
            views,
            at,
            left,
            rows: 0,
            dictionary: None,
            largest: 0,
            windows: STEPS.map(Window::new),
        })
    }

    /// Looks at the next page.
    fn page(&mut self) -> Result<(), String> {
        let (header, length) = self.header()?;
        self.left = self.left.checked_sub(length.saturating_add(header.compressed)).ok_or(CUT_OFF)?;
        self.at += length + header.compressed;
        let bytes = header.compressed.max(header.uncompressed);
        self.largest = self.largest.max(bytes);
        match header.content {
            Content::Other => {}
            Content::Dictionary { .. } if self.dictionary.is_some() || self.rows > 0 => {
                return Err("a column has a dictionary behind its first page".to_owned());
            }
            Content::Dictionary { values } if values > bytes => {
                return Err("a dictionary claims more values than it has bytes".to_owned());
            }
            Content::Dictionary { values } => self.dictionary = Some((bytes, bytes.saturating_add(values * 16))),
            Content::Data { encoding: DELTA_LENGTH_BYTE_ARRAY | DELTA_BYTE_ARRAY, .. } => {
                // Their readers reserve what counts inside the compressed bytes claim.
                return Err("a column is delta-encoded; take the encoding PLAIN or a dictionary".to_owned());
            }
            Content::Data { values, .. } => {
                self.windows.iter_mut().for_each(|window| window.push(self.rows, values, bytes));
                self.rows = self.rows.saturating_add(values);
            }
        }
        Ok(())
    }

    /// Bytes held at most while reading, for each of the steps.
    fn held(&self) -> [u64; STEPS.len()] {
        let (raw, built) = self.dictionary.unwrap_or_default();
        self.windows.each_ref().map(|window| {
            let pages = match (self.physical, self.views) {
                (Type::BYTE_ARRAY, true) => window.largest,
                // Values are copied, and each could be the one that the dictionary consists of.
                (Type::BYTE_ARRAY, false) => {
                    window.largest.saturating_mul(2).saturating_add(raw.saturating_mul(window.rows))
                }
                _ => self.largest.saturating_add(self.value_bytes.saturating_mul(window.rows)),
            };
            pages.saturating_add(built)
        })
    }

    /// The header of the next page, and its length.
    fn header(&self) -> Result<(Header, u64), String> {
        let mut most = HEADER_BYTES;
        loop {
            let length = most.min(self.left);
            let mut bytes = vec![0; usize::try_from(length).map_err(|_| CUT_OFF)?];
            self.file.read_exact_at(&mut bytes, self.at).map_err(|error| error.to_string())?;
            let mut thrift = Thrift::new(&bytes);
            match Header::read(&mut thrift) {
                Err(problem) if problem == CUT_OFF && length < self.left => {
                    most *= 8;
                    if most > limits::PARQUET_PAGE_HEADER_BYTES_MAX {
                        let max = limits::PARQUET_PAGE_HEADER_BYTES_MAX;
                        return Err(format!("the header of a page exceeds {max} bytes"));
                    }
                }
                read => return read.map(|header| (header, thrift.position() as u64)),
            }
        }
    }
}

/// The rows that are read together, however the pages lie: what the largest such run of pages takes.
struct Window {
    rows: u64,
    /// Which run the last page ended in, and what its pages take so far.
    run: u64,
    bytes: u64,
    largest: u64,
}

impl Window {
    fn new(rows: usize) -> Self {
        Self { rows: rows as u64, run: 0, bytes: 0, largest: 0 }
    }

    /// Adds a page of `values` rows behind `before`.
    fn push(&mut self, before: u64, values: u64, bytes: u64) {
        let last = before.saturating_add(values.saturating_sub(1)) / self.rows;
        if before / self.rows != self.run {
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.largest = self.largest.max(self.bytes);
        if last != before / self.rows {
            self.bytes = bytes;
        }
        self.run = last;
    }
}

/// Numbers of encodings.
const DELTA_LENGTH_BYTE_ARRAY: i32 = 6;
const DELTA_BYTE_ARRAY: i32 = 7;

/// What a page says about itself.
#[derive(Debug)]
struct Header {
    uncompressed: u64,
    compressed: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Data { values: u64, encoding: i32 },
    Dictionary { values: u64 },
    Other,
}

impl Header {
    fn read(thrift: &mut Thrift<'_>) -> Result<Self, String> {
        let (mut kind_of_page, mut uncompressed, mut compressed) = (None, None, None);
        let (mut data, mut dictionary, mut data_v2) = (None, None, None);
        thrift.fields(|thrift, id, kind| {
            match id {
                1 => kind_of_page = Some(thrift.i32(kind)?),
                2 => uncompressed = Some(thrift.i32(kind)?),
                3 => compressed = Some(thrift.i32(kind)?),
                4 => drop(thrift.i32(kind)?),
                5 => data = Some(counts(thrift, kind, &[1, 2, 3, 4])?),
                6 => thrift.inner(kind, |thrift, _, kind| thrift.skip(kind))?,
                7 => dictionary = Some(counts(thrift, kind, &[1, 2])?),
                8 => data_v2 = Some(counts(thrift, kind, &[1, 2, 3, 4, 5, 6])?),
                _ => thrift.skip(kind)?,
            }
            Ok(())
        })?;
        let length = |number: Option<i32>| u64::try_from(number.unwrap_or(-1)).map_err(|_| "a page has no length");
        let number = |counts: Option<[i32; 7]>, at: usize| counts.map_or(-1, |counts| counts[at]);
        let values = |counts| u64::try_from(number(counts, 1)).map_err(|_| "a page has no number of values");
        let content = match kind_of_page {
            Some(0) => Content::Data { values: values(data)?, encoding: number(data, 2) },
            Some(2) => Content::Dictionary { values: values(dictionary)? },
            Some(3) => Content::Data { values: values(data_v2)?, encoding: number(data_v2, 4) },
            _ => Content::Other,
        };
        Ok(Self { uncompressed: length(uncompressed)?, compressed: length(compressed)?, content })
    }
}

/// The numbers among the fields of a struct, by the number of the field; the rest is passed over.
fn counts(thrift: &mut Thrift<'_>, kind: Kind, numbers: &[i16]) -> Result<[i32; 7], String> {
    let mut counts = [-1; 7];
    thrift.inner(kind, |thrift, id, kind| match usize::try_from(id) {
        Ok(at) if numbers.contains(&id) => {
            counts[at] = thrift.i32(kind)?;
            Ok(())
        }
        _ => thrift.skip(kind),
    })?;
    Ok(counts)
}
