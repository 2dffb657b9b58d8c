//! Aligned tables of text.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::AuthorError;

/// Rows under their headings, each column as wide as it needs, each line with its end.
pub(crate) fn aligned(headings: &[String], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain([headings[index].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let mut text = line(headings) + &line(&rule);
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

/// A value as people read it. A missing one is `null`; a text that could be taken for something else has quotes.
pub(crate) fn cell(array: &dyn Array, row: usize) -> Result<String, AuthorError> {
    if array.is_null(row) {
        return Ok("null".to_owned());
    }
    Ok(match array.data_type() {
        DataType::Utf8 => text(array.as_string::<i32>().value(row)),
        DataType::Float64 => format!("{:?}", array.as_primitive::<arrow::datatypes::Float64Type>().value(row)),
        _ => ArrayFormatter::try_new(array, &FormatOptions::default())?.value(row).to_string(),
    })
}

/// A text without control characters, which could move a terminal's cursor; in quotes where it would be misread.
fn text(text: &str) -> String {
    let misread = text.is_empty() || text == "null" || text.trim() != text || text.chars().any(char::is_control);
    if misread { format!("{text:?}") } else { text.to_owned() }
}

/// A whole table, of which at most `rows_max` rows are shown.
pub(crate) fn of_rows(batch: &RecordBatch, rows_max: usize) -> Result<String, AuthorError> {
    let headings: Vec<String> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    let row = |row| batch.columns().iter().map(|column| cell(column, row)).collect::<Result<Vec<_>, _>>();
    let rows = (0..batch.num_rows().min(rows_max)).map(row).collect::<Result<Vec<_>, _>>()?;
    let mut shown = aligned(&headings, &rows);
    if batch.num_rows() > rows_max {
        shown.push_str(&format!("… and {} more rows\n", batch.num_rows() - rows_max));
    }
    Ok(shown)
}
