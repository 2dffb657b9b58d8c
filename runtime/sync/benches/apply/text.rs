//! The same rows as lines of CSV.

use std::fs::File;
use std::io::{BufWriter, Cursor, Write};
use std::path::Path;

use anyhow::Result;
use arrow::csv::WriterBuilder;
use arrow::ipc::reader::StreamReader;

use crate::rows::{self, Bodies};
use crate::{Arguments, bodies};

/// Writes them to `rows.csv` in a directory.
pub(crate) fn write(dir: &Path, arguments: Arguments) -> Result<()> {
    rows::write(&bodies(dir), arguments)?;
    let mut lines = WriterBuilder::new().with_header(false).build(BufWriter::new(File::create(dir.join("rows.csv"))?));
    for body in Bodies::open(&bodies(dir))? {
        for rows in StreamReader::try_new(Cursor::new(body?), None)? {
            lines.write(&rows?)?;
        }
    }
    lines.into_inner().flush()?;
    Ok(std::fs::remove_file(bodies(dir))?)
}
