//! How a query's input is run over local tables: whoever has an SQL engine brings it.

use arrow::array::RecordBatch;
use domicile_sandbox::Value;

/// A table in memory.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// Its rows.
    pub rows: RecordBatch,
}

/// An SQL engine over tables in memory.
pub trait InputSql {
    /// Runs one `SELECT`. `sql` has `$name` for each of the parameters, which are of the types bigint, double, text or
    /// date and never null. Answers with batches of one schema, at least one of them; columns may be of any width or
    /// encoding of the types that plugins know, which the caller converts.
    ///
    /// # Errors
    /// What the engine says, for people.
    fn select(&self, sql: &str, tables: &[Table], parameters: &[(String, Value)]) -> Result<Vec<RecordBatch>, String>;
}
