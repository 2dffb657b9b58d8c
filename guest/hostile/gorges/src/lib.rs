//! Takes as much memory as it is told to: less than a plugin may have, and still the host has to count it.

use domicile_sdk::{Parameters, Query, Row, Rows, Table, query};

const BLOCK_MIB: i64 = 64;

/// How much to take, and where.
#[derive(Parameters)]
pub struct Settings {
    #[parameter(default = "nowhere")]
    place: String,
    #[parameter(default = 0)]
    mib: i64,
}

/// One number.
#[derive(Row)]
pub struct Number {
    n: i64,
}

/// A count of rows.
pub struct Gorges {
    settings: Settings,
    blocks: Vec<Vec<u8>>,
    count: i64,
}

impl Gorges {
    fn at(&mut self, place: &str) {
        let blocks = if self.settings.place == place { self.settings.mib / BLOCK_MIB } else { 0 };
        // Never written to: it is the plugin's, and costs the host nothing yet.
        self.blocks.extend((0..blocks).map(|_| std::hint::black_box(Vec::with_capacity((BLOCK_MIB << 20) as usize))));
    }
}

#[query]
impl Query for Gorges {
    type Parameters = Settings;
    type Input = Number;
    type Partial = Number;
    type Output = Number;
    const INPUT: &str = "SELECT c_custkey AS n FROM customer";

    fn open(settings: Settings) -> Result<Self, String> {
        let mut session = Self { settings, blocks: Vec::new(), count: 0 };
        session.at("open");
        Ok(session)
    }

    fn input(&mut self, rows: Rows<'_, Number>) -> Result<(), String> {
        self.at("input");
        self.count += rows.iter().count() as i64;
        Ok(())
    }

    fn partial(mut self) -> Result<Table<Number>, String> {
        self.at("partial");
        Ok([Number { n: self.count }].into_iter().collect())
    }

    fn merge(&mut self, rows: Rows<'_, Number>) -> Result<(), String> {
        self.at("merge");
        self.count += rows.iter().map(|row| row.n).sum::<i64>();
        Ok(())
    }

    fn finish(mut self) -> Result<Table<Number>, String> {
        self.at("finish");
        Ok([Number { n: self.count }].into_iter().collect())
    }
}
