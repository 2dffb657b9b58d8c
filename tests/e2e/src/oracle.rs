//! SQLite over the union of all regions: an engine of another make says what is right.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result};
use domicile_harness::workspace::REGIONS;
use domicile_tpch::{Homes, Table};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use crate::world::{SCALE, shared};

/// A cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// A text, or a date such as `1998-08-02`.
    Text(String),
    /// A number.
    Number(f64),
}

/// All rows of all regions in SQLite. Money is held as doubles, dates as texts. `customer` has a further column
/// `home`.
#[derive(Debug)]
pub struct Oracle {
    database: Connection,
}

impl Oracle {
    /// Every table at a scale factor.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn union(scale: f64) -> Result<Self> {
        let mut database = Connection::open_in_memory()?;
        for table in Table::ALL {
            fill(&mut database, table, scale)?;
        }
        let mut oracle = Self { database };
        oracle.add_homes(scale)?;
        Ok(oracle)
    }

    /// The rows of a question in SQLite's dialect.
    ///
    /// # Errors
    /// Where SQLite refuses it.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<Cell>>> {
        let mut statement = self.database.prepare(sql).with_context(|| sql.to_owned())?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|index| Ok(cell(row.get_ref(index)?))).collect())?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The rows of a question in our dialect, which [`dialect`] translates.
    ///
    /// # Errors
    /// As for [`Oracle::rows`].
    pub fn ask(&self, sql: &str) -> Result<Vec<Vec<Cell>>> {
        self.rows(&dialect(sql))
    }

    fn add_homes(&mut self, scale: f64) -> Result<()> {
        let homes = Homes::new(scale)?;
        self.database
            .execute_batch("ALTER TABLE customer ADD COLUMN home TEXT; CREATE INDEX c ON customer (c_custkey)")?;
        let customers: Vec<i64> = self
            .database
            .prepare("SELECT c_custkey FROM customer")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let transaction = self.database.transaction()?;
        for customer in customers {
            let home = REGIONS[homes.of_customer(customer)?];
            transaction.execute("UPDATE customer SET home = ?1 WHERE c_custkey = ?2", (home, customer))?;
        }
        transaction.commit()?;
        self.database.execute_batch(
            "CREATE INDEX o ON orders (o_orderkey); CREATE INDEX l ON lineitem (l_orderkey);
             CREATE INDEX p ON part (p_partkey); CREATE INDEX s ON supplier (s_suppkey); ANALYZE",
        )?;
        Ok(())
    }
}

/// The union at the scale factor of the tests, filled once a process. One test at a time asks it.
///
/// # Panics
/// Where SQLite fails.
pub fn oracle() -> MutexGuard<'static, Oracle> {
    static ORACLE: OnceLock<Mutex<Oracle>> = OnceLock::new();
    let oracle = shared(&ORACLE, || Ok(Mutex::new(Oracle::union(SCALE)?)));
    oracle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Our SQL in SQLite's dialect: dates are texts there, and months are cut out of them.
pub fn dialect(sql: &str) -> String {
    sql.replace("date_trunc('month', o_orderdate)", "strftime('%Y-%m-01', o_orderdate)").replace("DATE '", "'")
}

fn fill(database: &mut Connection, table: Table, scale: f64) -> Result<()> {
    let columns = table.columns();
    let declared = columns.iter().map(|(name, number)| format!("{name} {}", if *number { "NUMERIC" } else { "TEXT" }));
    let declared = declared.collect::<Vec<_>>().join(", ");
    database.execute_batch(&format!("CREATE TABLE {} ({declared})", table.name()))?;
    let places = vec!["?"; columns.len()].join(", ");
    let transaction = database.transaction()?;
    {
        let mut insert = transaction.prepare(&format!("INSERT INTO {} VALUES ({places})", table.name()))?;
        for row in table.rows(scale) {
            insert.execute(params_from_iter(row?))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Number(number as f64),
        ValueRef::Real(number) => Cell::Number(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_union_is_whole_and_every_customer_has_a_home() -> Result<()> {
        let oracle = Oracle::union(0.001)?;
        let count = |sql: &str| Ok::<_, anyhow::Error>(oracle.rows(sql)?.concat());
        assert_eq!(count("SELECT count(*) FROM customer")?, [Cell::Number(150.0)]);
        assert_eq!(count("SELECT count(*) FROM customer WHERE home IS NULL")?, [Cell::Number(0.0)]);
        assert_eq!(count("SELECT count(DISTINCT home) FROM customer")?, [Cell::Number(3.0)]);
        let sum = count("SELECT sum(l_quantity) > 0 FROM lineitem JOIN orders ON l_orderkey = o_orderkey")?;
        assert_eq!(sum, [Cell::Number(1.0)]);
        Ok(())
    }
}
