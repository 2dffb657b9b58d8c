//! Rows written to a file, or to whoever reads standard output.

use std::io::{Error, Write};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use serde_json::Value as Json;

use super::Format;

/// Writes rows in a format. CSV cannot tell an empty text from a missing one.
///
/// # Errors
/// Where the rows cannot be written.
pub fn write(rows: &RecordBatch, format: Format, mut to: impl Write + Send) -> Result<(), Error> {
    match format {
        Format::Csv => WriterBuilder::new().with_header(true).build(&mut to).write(rows).map_err(Error::other)?,
        Format::Json => {
            for row in 0..rows.num_rows() {
                write!(to, "{}{}", if row == 0 { "[\n  " } else { ",\n  " }, object(rows, row)?)?;
            }
            to.write_all(if rows.num_rows() == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        Format::Ndjson => (0..rows.num_rows()).try_for_each(|row| writeln!(to, "{}", object(rows, row)?))?,
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(&mut to, rows.schema(), None)?;
            writer.write(rows)?;
            writer.close()?;
        }
    }
    to.flush()
}

/// An object with its members in the order of the columns.
fn object(rows: &RecordBatch, row: usize) -> Result<String, Error> {
    let named = rows.schema_ref().fields().iter().zip(rows.columns());
    let members = named.map(|(field, column)| {
        let name = Json::String(field.name().clone());
        Ok(format!("{name}: {}", json_value(column, row)?))
    });
    Ok(format!("{{{}}}", members.collect::<Result<Vec<_>, Error>>()?.join(", ")))
}

/// A value as JSON. A double that JSON has no number for is a text.
fn json_value(array: &dyn Array, row: usize) -> Result<Json, Error> {
    if array.is_null(row) {
        return Ok(Json::Null);
    }
    Ok(match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => {
            let number = array.as_primitive::<Float64Type>().value(row);
            serde_json::Number::from_f64(number).map_or_else(|| Json::String(format!("{number:?}")), Json::Number)
        }
        DataType::Boolean => array.as_boolean().value(row).into(),
        _ => {
            let formatter = ArrayFormatter::try_new(array, &FormatOptions::default()).map_err(Error::other)?;
            Json::String(formatter.value(row).to_string())
        }
    })
}
