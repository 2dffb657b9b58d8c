//! Contributes the very rows that it reads: only an approval of its digest could let these cross a border.

use domicile_sdk::{Parameters, Query, Row, Rows, Table, query};

/// Whose customers.
#[derive(Parameters)]
pub struct Settings {
    #[parameter(default = "BUILDING")]
    segment: String,
    #[parameter(default = 9000.0)]
    least: f64,
}

/// A customer.
#[derive(Row)]
pub struct Customer {
    name: Option<String>,
    balance: Option<f64>,
}

/// Every customer that it was told of.
#[derive(Default)]
pub struct Confides(Vec<(Option<String>, Option<f64>)>);

impl Confides {
    fn told(self) -> Table<Customer> {
        self.0.into_iter().map(|(name, balance)| Customer { name, balance }).collect()
    }
}

#[query]
impl Query for Confides {
    type Parameters = Settings;
    type Input = Customer;
    type Partial = Customer;
    type Output = Customer;
    const INPUT: &str = "SELECT c_name AS name, c_acctbal AS balance FROM customer \
                         WHERE c_mktsegment = $segment AND c_acctbal >= $least";

    fn open(_settings: Settings) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn input(&mut self, rows: Rows<'_, Customer>) -> Result<(), String> {
        self.0.extend(rows.iter().map(|row| (row.name.clone(), row.balance)));
        Ok(())
    }

    fn partial(self) -> Result<Table<Customer>, String> {
        Ok(self.told())
    }

    fn merge(&mut self, rows: Rows<'_, Customer>) -> Result<(), String> {
        self.input(rows)
    }

    fn finish(self) -> Result<Table<Customer>, String> {
        Ok(self.told())
    }
}
