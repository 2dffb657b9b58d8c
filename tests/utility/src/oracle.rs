//! SQLite with all rows: an engine of another make says what is right, over any of the homes.

use anyhow::{Context, Result};
use domicile_harness::workspace::REGIONS;
use domicile_tests::oracle::Cell;
use domicile_tpch::{Homes, Table};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use crate::functions;

/// All rows of all regions. Money is held as doubles, dates as texts. `customer`, `orders` and `lineitem` show the rows
/// of the chosen homes only, with the further columns `c_home` and `c_entity`, `o_home`, and so on.
#[derive(Debug)]
pub struct Oracle {
    database: Connection,
}

/// Gives the rows of a resident table their homes and entities, and a view of the chosen ones.
const RESIDENT: &str = "
    CREATE TABLE whole_{table} AS
        SELECT raw.*, home AS {prefix}_home, homes.entity AS {prefix}_entity
        FROM raw_{table} AS raw JOIN homes ON homes.entity = {entity};
    DROP TABLE raw_{table};
    CREATE VIEW {table} AS SELECT * FROM whole_{table} WHERE {prefix}_home IN (SELECT home FROM chosen);";

const INDEXES: &str = "
    CREATE INDEX c ON whole_customer (c_custkey); CREATE INDEX oc ON whole_orders (o_custkey);
    CREATE INDEX l ON whole_lineitem (l_orderkey);
    CREATE INDEX p ON part (p_partkey); CREATE INDEX s ON supplier (s_suppkey);
    CREATE INDEX ps ON partsupp (ps_partkey, ps_suppkey); CREATE INDEX n ON nation (n_nationkey); ANALYZE;";

impl Oracle {
    /// Every table at a scale factor, with all homes chosen.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn new(scale: f64) -> Result<Self> {
        let mut database = Connection::open_in_memory()?;
        functions::register(&database)?;
        for table in Table::ALL {
            fill(&mut database, table, scale)?;
        }
        add_homes(&mut database, scale)?;
        for (table, prefix, entity) in [
            ("customer", "c", "c_custkey"),
            ("orders", "o", "o_custkey"),
            ("lineitem", "l", "(SELECT o_custkey FROM whole_orders WHERE o_orderkey = l_orderkey)"),
        ] {
            let made = RESIDENT.replace("{table}", table).replace("{prefix}", prefix).replace("{entity}", entity);
            database.execute_batch(&made)?;
            if table == "orders" {
                database.execute_batch("CREATE INDEX o ON whole_orders (o_orderkey)")?;
            }
        }
        database.execute_batch(INDEXES)?;
        let oracle = Self { database };
        oracle.choose(&REGIONS)?;
        Ok(oracle)
    }

    /// From now on, only rows of these homes are there.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn choose(&self, homes: &[&str]) -> Result<()> {
        self.database.execute("DELETE FROM chosen", [])?;
        for home in homes {
            self.database.execute("INSERT INTO chosen VALUES (?1)", [home])?;
        }
        Ok(())
    }

    /// The rows of a question in SQLite's dialect.
    ///
    /// # Errors
    /// Where SQLite refuses it.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<Cell>>> {
        let mut statement = self.database.prepare(sql).with_context(|| sql.to_owned())?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|index| Ok(cell(row.get_ref(index)?))).collect())?;
        rows.collect::<Result<_, _>>().with_context(|| sql.to_owned())
    }

    /// Makes `name`, a table of a home and `width` group keys, which are the columns `k0`, `k1`, and so on.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub(crate) fn note_groups(&self, name: &str, width: usize, groups: &[(String, Vec<Cell>)]) -> Result<()> {
        let columns: String = (0..width).map(|index| format!(", k{index}")).collect();
        self.database.execute_batch(&format!(
            "DROP TABLE IF EXISTS {name}; CREATE TEMP TABLE {name} (home{columns}); \
             CREATE INDEX temp.{name}_keys ON {name} (home{columns});"
        ))?;
        let places = vec!["?"; width + 1].join(", ");
        let mut insert = self.database.prepare(&format!("INSERT INTO {name} VALUES ({places})"))?;
        for (home, key) in groups {
            let key = key.iter().map(|cell| match cell {
                Cell::Null => rusqlite::types::Value::Null,
                Cell::Text(text) => text.clone().into(),
                Cell::Number(number) => (*number).into(),
            });
            insert.execute(params_from_iter([home.clone().into()].into_iter().chain(key)))?;
        }
        Ok(())
    }
}

fn fill(database: &mut Connection, table: Table, scale: f64) -> Result<()> {
    let schema = table.schema();
    let declared = schema.fields().iter().map(|field| {
        let kind = field.data_type().to_string();
        let kind = match kind.as_str() {
            "Utf8" | "Date32" => "TEXT",
            kind if kind.starts_with("Int") => "INTEGER",
            _ => "REAL",
        };
        format!("{} {kind}", field.name())
    });
    let declared = declared.collect::<Vec<_>>().join(", ");
    let name = if table.is_resident() { format!("raw_{}", table.name()) } else { table.name().to_owned() };
    database.execute_batch(&format!("CREATE TABLE {name} ({declared})"))?;
    let places = vec!["?"; schema.fields().len()].join(", ");
    let transaction = database.transaction()?;
    {
        let mut insert = transaction.prepare(&format!("INSERT INTO {name} VALUES ({places})"))?;
        for row in table.rows(scale) {
            insert.execute(params_from_iter(row?))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn add_homes(database: &mut Connection, scale: f64) -> Result<()> {
    let homes = Homes::new(scale)?;
    database.execute_batch("CREATE TABLE homes (entity INTEGER PRIMARY KEY, home TEXT); CREATE TABLE chosen (home)")?;
    let customers: Vec<i64> = database
        .prepare("SELECT c_custkey FROM raw_customer")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let transaction = database.transaction()?;
    for customer in customers {
        let home = REGIONS[homes.of_customer(customer)?];
        transaction.execute("INSERT INTO homes VALUES (?1, ?2)", (customer, home))?;
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
