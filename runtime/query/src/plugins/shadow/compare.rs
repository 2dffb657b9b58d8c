//! Whether two answers are the same. Doubles may differ in what the order of addition makes of them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use domicile_types::QueryId;
use domicile_types::limits::{SHADOW_COLUMNS_MAX, SHADOW_VALUE_CHARS_MAX};
use domicile_wire::plugins::ShadowDifference;

use crate::run::Answer;

/// How far two doubles may be apart, of the larger one.
const RELATIVE: f64 = 1e-9;

/// Two answers side by side.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) active_ms: f64,
    pub(super) shadow_ms: f64,
    pub(super) difference: Option<ShadowDifference>,
}

#[derive(Debug, Clone)]
enum Cell {
    Null,
    Double(f64),
    Text(String),
}

type Row = Vec<Cell>;

/// Where two answers differ; none where they are the same. Without `ordered`, rows may come in any order.
pub(super) fn difference(id: &QueryId, active: &Answer, shadow: &Answer, ordered: bool) -> Option<ShadowDifference> {
    let columns = |answer: &Answer| answer.schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let (ours, theirs) = (rows(&active.batches, ordered), rows(&shadow.batches, ordered));
    let place = (0..ours.len().max(theirs.len())).find(|at| match (ours.get(*at), theirs.get(*at)) {
        (Some(ours), Some(theirs)) => !same(ours, theirs),
        _ => true,
    });
    let names = columns(active);
    if place.is_none() && names == columns(shadow) {
        return None;
    }
    let at = |rows: &[Row]| place.and_then(|at| rows.get(at)).map(shown);
    Some(ShadowDifference {
        query_id: id.to_string(),
        rows: ours.len(),
        shadow_rows: theirs.len(),
        columns: names.iter().take(SHADOW_COLUMNS_MAX).map(|name| clip(name)).collect(),
        row: at(&ours),
        shadow_row: at(&theirs),
    })
}

fn rows(batches: &[RecordBatch], ordered: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = batches.iter().flat_map(rows_of).collect();
    if !ordered {
        rows.sort_by_cached_key(key);
    }
    rows
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let mut rows = vec![Row::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        let doubles = (*column.data_type() == DataType::Float64).then(|| column.as_primitive::<Float64Type>());
        let format = FormatOptions::default();
        let texts = ArrayFormatter::try_new(column.as_ref(), &format).ok();
        for (at, row) in rows.iter_mut().enumerate() {
            row.push(match (&doubles, &texts) {
                _ if column.is_null(at) => Cell::Null,
                (Some(doubles), _) => Cell::Double(doubles.value(at)),
                (None, Some(texts)) => Cell::Text(texts.value(at).to_string()),
                // No type of SQL here is without a text.
                (None, None) => Cell::Null,
            });
        }
    }
    rows
}

/// Rows sort by what is exact first, and by doubles without the digits that the order of addition changes.
fn key(row: &Row) -> (Vec<Option<String>>, Vec<String>) {
    let exact = |cell: &Cell| match cell {
        Cell::Text(text) => Some(Some(text.clone())),
        Cell::Null => Some(None),
        Cell::Double(_) => None,
    };
    let double = |cell: &Cell| if let Cell::Double(number) = cell { Some(format!("{number:.7e}")) } else { None };
    (row.iter().filter_map(exact).collect(), row.iter().filter_map(double).collect())
}

fn same(ours: &Row, theirs: &Row) -> bool {
    let alike = |pair: (&Cell, &Cell)| match pair {
        (Cell::Null, Cell::Null) => true,
        (Cell::Text(ours), Cell::Text(theirs)) => ours == theirs,
        (Cell::Double(ours), Cell::Double(theirs)) => {
            ours == theirs
                || (ours.is_nan() && theirs.is_nan())
                || (ours - theirs).abs() <= RELATIVE * ours.abs().max(theirs.abs())
        }
        _ => false,
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(alike)
}

fn shown(row: &Row) -> Vec<Option<String>> {
    let cell = |cell: &Cell| match cell {
        Cell::Null => None,
        Cell::Double(number) => Some(number.to_string()),
        Cell::Text(text) => Some(clip(text)),
    };
    row.iter().take(SHADOW_COLUMNS_MAX).map(cell).collect()
}

fn clip(text: &str) -> String {
    text.chars().take(SHADOW_VALUE_CHARS_MAX).collect()
}
