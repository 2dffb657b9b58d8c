//! Prices: revenue after a discount, and the band that a price falls into.

/// What is left of a price after a discount, given as a fraction: 0.05 is five per cent.
fn net_revenue(price: f64, discount: f64) -> f64 {
    price * (1.0 - discount)
}

/// The band of an order's total price: `small` below 50,000, `medium` below 150,000, `large` below 300,000, then
/// `very large`. Something that is not a number has no band.
fn price_band(price: f64) -> Option<&'static str> {
    match price {
        price if price.is_nan() => None,
        ..50_000.0 => Some("small"),
        ..150_000.0 => Some("medium"),
        ..300_000.0 => Some("large"),
        _ => Some("very large"),
    }
}

domicile_sdk::functions! {
    fn net_revenue(price: f64, discount: f64) -> f64;
    fn price_band(price: f64) -> Option<&'static str>;
}
