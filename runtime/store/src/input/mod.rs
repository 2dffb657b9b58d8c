//! Rows to load or delete, read as batches of the dataset's declared columns.
//!
//! A value that cannot become the declared type refuses its row and is left out of the batch; a missing value stays
//! missing here, whatever the declaration says. Whatever the input claims, only what has arrived takes memory. One row,
//! one message and the pages that are read together take no more than their limits, once decompressed and with each
//! text in a place of its own.

mod arrow_message;
mod arrow_stream;
mod columns;
mod csv;
mod json;
mod json_row;
mod parquet;
mod parquet_footer;
mod parquet_pages;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
mod texts;
mod thrift;
mod typed;

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use arrow::array::RecordBatch;

use crate::StoreError;
use crate::catalog::Entry;
use crate::refusals::Refusals;

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;
/// Bytes that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// The format of rows to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated UTF-8 text. The first row names the columns; an empty field is a missing value; dates are
    /// written `2030-12-31`, decimals with a point.
    Csv,
    /// One JSON array of objects, or one object. Members are columns by name; one that is `null` or absent is a
    /// missing value. Decimals are numbers or texts, both taken digit by digit; dates are texts as in CSV.
    Json,
    /// Lines, each a JSON object as in [`Format::Json`].
    Ndjson,
    /// An Arrow IPC stream with its end marker.
    ArrowStream,
    /// Apache Parquet. Needs [`Source::File`]. Compressed by zstd, snappy, LZ4_RAW or nothing; texts are encoded plainly
    /// or with dictionaries.
    Parquet,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Ndjson => "NDJSON",
            Self::ArrowStream => "an Arrow stream",
            Self::Parquet => "Parquet",
        })
    }
}

/// Where rows come from.
pub enum Source {
    /// Bytes as they come.
    Stream(Box<dyn Read + Send>),
    /// A file.
    File(PathBuf),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Which columns the rows have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Every declared column, in the order of the declaration.
    All,
    /// Those of the primary key, in its order.
    Key,
}

type Stream = Box<dyn Read + Send>;

/// Bytes that are read once, from the first on.
type Bytes = BufReader<Stream>;

/// Rows on their way in.
pub(crate) enum Input {
    Csv(Box<csv::CsvInput>),
    Json(Box<json::JsonInput>),
    ArrowStream(Box<arrow_stream::ArrowInput>),
    Parquet(Box<parquet::ParquetInput>),
}

impl Input {
    pub(crate) fn open(source: Source, format: Format, entry: &Entry, columns: Columns) -> Result<Self, StoreError> {
        let wanted = columns::Wanted::new(entry, columns)?;
        match (format, source) {
            (Format::Parquet, Source::File(path)) => {
                parquet::ParquetInput::open(&path, &wanted).map(|input| Self::Parquet(Box::new(input)))
            }
            (Format::Parquet, Source::Stream(_)) => {
                let problem = "it needs random access; keep it in a file first".to_owned();
                Err(StoreError::Malformed { format, row: 0, problem })
            }
            (Format::ArrowStream, source) => {
                let bytes = buffered(stream(source)?);
                Ok(Self::ArrowStream(Box::new(arrow_stream::ArrowInput::new(bytes, wanted))))
            }
            (Format::Csv, source) => {
                let bytes = buffered(without_mark(stream(source)?)?);
                csv::CsvInput::open(bytes, &wanted).map(|input| Self::Csv(Box::new(input)))
            }
            (Format::Json | Format::Ndjson, source) => {
                let bytes = buffered(without_mark(stream(source)?)?);
                Ok(Self::Json(Box::new(json::JsonInput::new(bytes, format, wanted))))
            }
        }
    }

    /// The next batch, whose first row is row `offset` of the chunk that `refusals` is at.
    pub(crate) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        match self {
            Self::Csv(input) => input.next(offset, refusals),
            Self::Json(input) => input.next(offset, refusals),
            Self::ArrowStream(input) => input.next(offset, refusals),
            Self::Parquet(input) => input.next(offset, refusals),
        }
    }
}

/// Runs a reader of a binary format, which may panic where bytes are what no writer makes. What it read into is not
/// used after that.
pub(crate) fn guarded<T, E: fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("it is not what a writer of this format makes".to_owned()),
    }
}

fn stream(source: Source) -> Result<Stream, StoreError> {
    match source {
        Source::Stream(stream) => Ok(stream),
        Source::File(path) => Ok(Box::new(File::open(&path).map_err(StoreError::io("open", &path))?)),
    }
}

fn buffered(stream: Stream) -> Bytes {
    BufReader::with_capacity(READ_BYTES, stream)
}

/// The stream behind the mark that some writers of UTF-8 begin with.
fn without_mark(mut stream: Stream) -> Result<Stream, StoreError> {
    const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
    let mut start = Vec::with_capacity(MARK.len());
    stream.by_ref().take(MARK.len() as u64).read_to_end(&mut start).map_err(broken_off)?;
    match start == MARK {
        true => Ok(stream),
        false => Ok(Box::new(Cursor::new(start).chain(stream))),
    }
}

fn broken_off(source: std::io::Error) -> StoreError {
    StoreError::Source { source }
}
