//! Panics, in each of the exports of a query. The parameter `place` says in which.

use domicile_sdk::{Parameters, Query, Row, Rows, Table, query};

/// Where to panic.
#[derive(Parameters)]
pub struct Settings {
    #[parameter(default = "nowhere")]
    place: String,
}

/// One number.
#[derive(Row)]
pub struct Number {
    n: i64,
}

/// A sum.
pub struct Stumbles {
    place: String,
    sum: i64,
}

impl Stumbles {
    fn at(&self, place: &str) {
        assert!(self.place != place, "in {place}");
    }
}

#[query]
impl Query for Stumbles {
    type Parameters = Settings;
    type Input = Number;
    type Partial = Number;
    type Output = Number;
    const INPUT: &str = "SELECT 1 AS n";

    fn open(settings: Settings) -> Result<Self, String> {
        let session = Self { place: settings.place, sum: 0 };
        session.at("open");
        if session.place == "refuse" { Err("`place` is to be a place".to_owned()) } else { Ok(session) }
    }

    fn input(&mut self, rows: Rows<'_, Number>) -> Result<(), String> {
        self.at("input");
        self.sum += rows.iter().map(|row| row.n).sum::<i64>();
        Ok(())
    }

    fn partial(self) -> Result<Table<Number>, String> {
        self.at("partial");
        Ok([Number { n: self.sum }].into_iter().collect())
    }

    fn merge(&mut self, rows: Rows<'_, Number>) -> Result<(), String> {
        self.at("merge");
        self.sum += rows.iter().map(|row| row.n).sum::<i64>();
        Ok(())
    }

    fn finish(self) -> Result<Table<Number>, String> {
        self.at("finish");
        Ok([Number { n: self.sum }].into_iter().collect())
    }
}
