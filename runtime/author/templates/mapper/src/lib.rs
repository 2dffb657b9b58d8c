//! Which customers spend much, from each customer's orders.

use domicile_sdk::{Category, Mapper, Outputs, Parameters, Row, Rows, mapper};

/// What whoever asks may set.
#[derive(Parameters)]
pub struct BigSpender {
    /// What the orders of a big spender cost together, at least.
    #[parameter(default = 100_000.0)]
    least: f64,
}

/// The columns of `orders` that are read. The plugin sees no others.
#[derive(Row)]
pub struct Order {
    o_totalprice: Option<f64>,
}

/// A category is one of these, and nothing else leaves the plugin.
#[derive(Category, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spender {
    Big,
    Small,
}

/// What is made of each customer.
#[derive(Outputs, Debug, PartialEq)]
pub struct Customer {
    spender: Spender,
    /// Bounds say how much one customer can move a sum; a number beyond them is moved to the nearer one.
    #[measure(min = 0.0, max = 10_000_000.0)]
    spent: f64,
}

#[mapper]
impl Mapper for BigSpender {
    type Input = Order;
    type Output = Customer;
    const DATASET: &str = "orders";
    const GROUP_BY: &[&str] = &["spender"];
    const SUM: &[&str] = &["spent"];

    fn check(&self) -> Result<(), String> {
        if self.least >= 0.0 { Ok(()) } else { Err("`least` is to be 0 or more".to_owned()) }
    }

    fn map(&self, orders: Rows<'_, Order>) -> Result<Customer, String> {
        let spent = orders.iter().filter_map(|order| order.o_totalprice).fold(0.0, |sum, price| sum + price);
        let spender = if spent >= self.least { Spender::Big } else { Spender::Small };
        Ok(Customer { spender, spent })
    }
}

#[cfg(test)]
mod tests {
    use domicile_sdk::mapper::map_one;

    use super::*;

    #[test]
    fn a_customers_orders_count_together() {
        let orders = [70_000.0, 30_000.0].map(|price| Order { o_totalprice: Some(price) }).into_iter().collect();
        let customer = map_one(&BigSpender::default(), &orders).unwrap();
        assert_eq!(customer, Customer { spender: Spender::Big, spent: 100_000.0 });
        let customer = map_one(&BigSpender { least: 100_000.5 }, &orders).unwrap();
        assert_eq!(customer.spender, Spender::Small);
    }
}
