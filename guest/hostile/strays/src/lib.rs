//! Asks for a column that no dataset has.

use domicile_sdk::{Parameters, Query, Row, Rows, Table, query};

/// Nothing to set.
#[derive(Parameters)]
pub struct Settings {}

/// A key.
#[derive(Row)]
pub struct Key {
    key: Option<i64>,
}

/// Never asked.
pub struct Strays;

#[query]
impl Query for Strays {
    type Parameters = Settings;
    type Input = Key;
    type Partial = Key;
    type Output = Key;
    const INPUT: &str = "SELECT c_custkei AS key FROM customer";

    fn open(_settings: Settings) -> Result<Self, String> {
        Ok(Self)
    }

    fn input(&mut self, _rows: Rows<'_, Key>) -> Result<(), String> {
        Ok(())
    }

    fn partial(self) -> Result<Table<Key>, String> {
        Ok([Key { key: None }].into_iter().collect())
    }

    fn merge(&mut self, _rows: Rows<'_, Key>) -> Result<(), String> {
        Ok(())
    }

    fn finish(self) -> Result<Table<Key>, String> {
        self.partial()
    }
}
