//! Functions for SQL: prices after a discount, and the average price that a quantity was sold at.

/// Every `pub fn` in here is a function of SQL, and every `impl` marked `#[aggregate]` an aggregate function.
#[domicile_sdk::functions]
pub mod functions {
    /// What is left of a price after a discount, given as a fraction: 0.05 is five per cent. A discount outside of 0 to
    /// 1 has no answer. Where an argument is null, the function is not called, and answers null.
    pub fn net_price(price: f64, discount: f64) -> Option<f64> {
        (0.0..=1.0).contains(&discount).then(|| price * (1.0 - discount))
    }

    /// The state of a group: `Default` is that of no rows.
    #[derive(Default)]
    pub struct AveragePrice {
        revenue: f64,
        quantity: f64,
    }

    #[aggregate]
    impl AveragePrice {
        /// Takes a row in. These are the arguments in SQL.
        pub fn update(&mut self, price: f64, quantity: f64) {
            self.revenue += price * quantity;
            self.quantity += quantity;
        }

        /// Takes in what another state took in, perhaps in another region.
        pub fn merge(&mut self, other: Self) {
            self.revenue += other.revenue;
            self.quantity += other.quantity;
        }

        /// The answer; null where nothing was sold.
        pub fn finish(&self) -> Option<f64> {
            (self.quantity != 0.0).then(|| self.revenue / self.quantity)
        }

        /// The state as it travels.
        pub fn to_bytes(&self) -> Vec<u8> {
            [self.revenue.to_le_bytes(), self.quantity.to_le_bytes()].concat()
        }

        /// The state that gave these bytes.
        pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
            let number = |at: usize| {
                let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
                bytes.map(f64::from_le_bytes).ok_or("a state has 16 bytes")
            };
            Ok(Self { revenue: number(0)?, quantity: number(8)? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::functions::{AveragePrice, net_price};

    #[test]
    fn a_discount_is_a_fraction() {
        assert_eq!(net_price(200.0, 0.25), Some(150.0));
        assert_eq!(net_price(200.0, 1.5), None);
    }

    #[test]
    fn averages_go_by_quantity_and_survive_a_journey() {
        let mut here = AveragePrice::default();
        assert_eq!(here.finish(), None);
        here.update(10.0, 3.0);
        let mut there = AveragePrice::default();
        there.update(20.0, 1.0);
        here.merge(AveragePrice::from_bytes(&there.to_bytes()).unwrap());
        assert_eq!(here.finish(), Some(12.5));
    }
}
