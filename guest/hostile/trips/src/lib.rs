//! Panics, in each of the exports of a mapper. The parameter `place` says in which.

use domicile_sdk::{Mapper, Outputs, Parameters, Row, Rows, mapper};

/// Where to panic.
#[derive(Parameters)]
pub struct Trips {
    #[parameter(default = "nowhere")]
    place: String,
}

/// An order.
#[derive(Row)]
pub struct Order {
    o_totalprice: f64,
}

/// What is made of a customer.
#[derive(Outputs)]
pub struct Customer {
    #[measure(min = 0.0, max = 1_000.0)]
    spent: f64,
}

#[mapper]
impl Mapper for Trips {
    type Input = Order;
    type Output = Customer;
    const DATASET: &str = "orders";

    fn check(&self) -> Result<(), String> {
        assert!(self.place != "configure", "in configure");
        Ok(())
    }

    fn map(&self, orders: Rows<'_, Order>) -> Result<Customer, String> {
        assert!(self.place != "map", "in map");
        Ok(Customer { spent: orders.iter().map(|order| order.o_totalprice).sum() })
    }
}
