//! One request to the store, and its body in one of the formats.

use std::fmt::Write;

use domicile_store::{Batch, Format, Operation, Source};
use domicile_types::ColumnType;

use crate::rng::Rng;
use crate::tables::{Row, Table};

/// Rows to load, or keys to delete.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) table: usize,
    pub(crate) delete: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) key: Option<String>,
    pub(crate) format: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    Csv,
    Ndjson,
    Json,
}

impl Text {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        *rng.pick(&[Self::Csv, Self::Ndjson, Self::Json])
    }
}

impl Request {
    pub(crate) fn batch(&self, table: &Table) -> Batch {
        Batch {
            dataset: table.name().clone(),
            operation: if self.delete { Operation::Delete } else { Operation::Upsert },
            format: match self.format {
                Text::Csv => Format::Csv,
                Text::Ndjson => Format::Ndjson,
                Text::Json => Format::Json,
            },
            idempotency_key: self.key.clone(),
        }
    }

    pub(crate) fn source(&self, table: &Table) -> Source {
        Source::Stream(Box::new(std::io::Cursor::new(self.body(table).into_bytes())))
    }

    /// Columns that the body has, as positions.
    fn columns(&self, table: &Table) -> Vec<usize> {
        if self.delete { table.key.clone() } else { (0..table.columns().len()).collect() }
    }

    fn body(&self, table: &Table) -> String {
        let columns = self.columns(table);
        let objects = || self.rows.iter().map(|row| object(table, &columns, row));
        match self.format {
            Text::Csv => csv(table, &columns, &self.rows),
            Text::Ndjson => objects().map(|object| object + "\n").collect(),
            Text::Json => format!("[{}]", objects().collect::<Vec<_>>().join(",")),
        }
    }
}

fn csv(table: &Table, columns: &[usize], rows: &[Row]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| table.columns()[*column].name.as_str()).collect();
    let mut text = names.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| quoted(cell.as_deref())).collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

fn quoted(cell: Option<&str>) -> String {
    match cell {
        None => String::new(),
        Some(text) if text.contains([',', '"']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Some(text) => text.to_owned(),
    }
}

fn object(table: &Table, columns: &[usize], row: &Row) -> String {
    let member = |(cell, column): (&Option<String>, &usize)| {
        let column = &table.columns()[*column];
        let value = match (cell, column.kind) {
            (None, _) => "null".to_owned(),
            (Some(text), ColumnType::Text | ColumnType::Date) => serde_json::Value::from(text.as_str()).to_string(),
            (Some(text), _) => text.clone(),
        };
        format!("\"{}\":{value}", column.name)
    };
    format!("{{{}}}", row.iter().zip(columns).map(member).collect::<Vec<_>>().join(","))
}
