//! Prices: revenue after a discount, and the band that a price falls into.
//!
//! `net_revenue(price double, discount double) -> double` is `price * (1 - discount)` in IEEE 754 binary64, computed in
//! this order.
//!
//! `price_band(price double) -> text` is the first band that fits:
//!
//! | band | price |
//! |---|---|
//! | null | NaN |
//! | `small` | below 50,000 |
//! | `medium` | below 150,000 |
//! | `large` | below 300,000 |
//! | `very large` | any other |
//!
//! Where an argument is null, so is the answer.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    /// What is left of a price after a discount, given as a fraction: 0.05 is five per cent.
    pub fn net_revenue(price: f64, discount: f64) -> f64 {
        price * (1.0 - discount)
    }

    /// The band of an order's total price: `small` below 50,000, `medium` below 150,000, `large` below 300,000, then
    /// `very large`. Something that is not a number has no band.
    pub fn price_band(price: f64) -> Option<&'static str> {
        match price {
            price if price.is_nan() => None,
            ..50_000.0 => Some("small"),
            ..150_000.0 => Some("medium"),
            ..300_000.0 => Some("large"),
            _ => Some("very large"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::functions::{net_revenue, price_band};

    #[test]
    fn a_discount_is_a_fraction() {
        assert_eq!(net_revenue(200.0, 0.25), 150.0);
        assert_eq!(net_revenue(200.0, 0.0), 200.0);
    }

    #[test]
    fn bands_begin_at_their_lower_bound() {
        assert_eq!(price_band(f64::NEG_INFINITY), Some("small"));
        assert_eq!(price_band(49_999.99), Some("small"));
        assert_eq!(price_band(50_000.0), Some("medium"));
        assert_eq!(price_band(150_000.0), Some("large"));
        assert_eq!(price_band(300_000.0), Some("very large"));
        assert_eq!(price_band(f64::NAN), None);
    }
}
