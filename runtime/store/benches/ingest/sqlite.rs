//! The same rows into SQLite: write-ahead log, synchronous FULL, one transaction a body.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Decimal128Type, Int32Type, Int64Type};
use arrow::ipc::reader::StreamReader;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::rows::Bodies;
use crate::{Arguments, bodies};

pub(crate) fn run(dir: &Path, arguments: Arguments) -> Result<Value> {
    let mut connection = Connection::open(dir.join("sqlite"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, at INTEGER NOT NULL,
         kind TEXT NOT NULL, amount INTEGER NOT NULL, quantity INTEGER NOT NULL, note TEXT NOT NULL)",
    )?;
    let started = Instant::now();
    let mut rows = 0;
    for body in Bodies::open(&bodies(dir))? {
        let batch = StreamReader::try_new(body?.as_slice(), None)?.next().context("a body has a batch")??;
        insert(&mut connection, &batch)?;
        rows += batch.num_rows() as u64;
        if rows >= arguments.sqlite_rows {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64() * arguments.sqlite_rows as f64 / rows as f64;
    Ok(json!({"part": "sqlite", "seconds": seconds, "rows": rows}))
}

fn insert(connection: &mut Connection, batch: &RecordBatch) -> Result<()> {
    let transaction = connection.transaction()?;
    let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)")?;
    let (ids, accounts) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
    let (days, kinds) = (batch.column(2).as_primitive::<Date32Type>(), batch.column(3).as_string::<i32>());
    let amounts = batch.column(4).as_primitive::<Decimal128Type>();
    let (quantities, notes) = (batch.column(5).as_primitive::<Int32Type>(), batch.column(6).as_string::<i32>());
    for row in 0..batch.num_rows() {
        insert.execute(params![
            ids.value(row),
            accounts.value(row),
            days.value(row),
            kinds.value(row),
            amounts.value(row) as i64,
            quantities.value(row),
            notes.value(row),
        ])?;
    }
    drop(insert);
    Ok(transaction.commit()?)
}
