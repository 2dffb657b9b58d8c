//! SQLite with the same rows: what answers are compared with.

use domicile_types::{ColumnType, Dataset};
use rusqlite::types::{ToSqlOutput, Value as Sqlite, ValueRef};
use rusqlite::{Connection, params_from_iter};
use serde_json::Value;

use crate::world::number;

pub(crate) struct Oracle(Connection);

impl Oracle {
    pub(crate) fn new(datasets: &[Dataset]) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("PRAGMA case_sensitive_like = ON").unwrap();
        for dataset in datasets {
            let kind = |kind| match kind {
                ColumnType::BigInt | ColumnType::Integer | ColumnType::Boolean => "INTEGER",
                ColumnType::Double | ColumnType::Decimal { .. } => "REAL",
                ColumnType::Text | ColumnType::Date => "TEXT",
            };
            let columns = dataset.columns.iter().map(|column| format!("{} {}", column.name, kind(column.kind)));
            let mut columns = columns.collect::<Vec<_>>().join(", ");
            if !dataset.primary_key.is_empty() {
                columns += &format!(", PRIMARY KEY ({})", dataset.primary_key.join(", "));
            }
            connection.execute_batch(&format!("CREATE TABLE {} ({columns})", dataset.name)).unwrap();
        }
        Self(connection)
    }

    pub(crate) fn upsert(&self, dataset: &Dataset, rows: &[Value]) {
        let names: Vec<&str> = dataset.columns.iter().map(|column| column.name.as_str()).collect();
        let holes = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT OR REPLACE INTO {} VALUES ({holes})", dataset.name);
        self.each(&sql, &names, rows);
    }

    pub(crate) fn delete(&self, dataset: &Dataset, keys: &[Value]) {
        let names: Vec<&str> = dataset.primary_key.iter().map(String::as_str).collect();
        let matches: Vec<String> = names.iter().map(|name| format!("{name} = ?")).collect();
        self.each(&format!("DELETE FROM {} WHERE {}", dataset.name, matches.join(" AND ")), &names, keys);
    }

    fn each(&self, sql: &str, names: &[&str], rows: &[Value]) {
        let mut statement = self.0.prepare(sql).unwrap();
        for row in rows {
            let values = names.iter().map(|name| ToSqlOutput::Owned(sqlite(&row[*name])));
            statement.execute(params_from_iter(values)).unwrap();
        }
    }

    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let sql = sql.replace("DATE '", "'");
        let mut statement = self.0.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let width = statement.column_count();
        let text = |value: ValueRef<'_>| match value {
            ValueRef::Null => "∅".to_owned(),
            ValueRef::Integer(value) => number(value as f64),
            ValueRef::Real(value) => number(value),
            other => other.as_str().unwrap().to_owned(),
        };
        let row = |row: &rusqlite::Row<'_>| (0..width).map(|index| Ok(text(row.get_ref(index)?))).collect();
        statement.query_map([], row).unwrap().map(Result::unwrap).collect()
    }
}

fn sqlite(value: &Value) -> Sqlite {
    match value {
        Value::Null => Sqlite::Null,
        Value::Bool(value) => Sqlite::Integer(i64::from(*value)),
        Value::Number(value) => value.as_i64().map_or_else(|| Sqlite::Real(value.as_f64().unwrap()), Sqlite::Integer),
        other => Sqlite::Text(other.as_str().unwrap().to_owned()),
    }
}
