//! The functions that are compared.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    /// What is left of a price.
    pub fn net_revenue(price: f64, discount: f64) -> f64 {
        kernels::net_revenue(price, discount)
    }

    /// The greatest common divisor.
    pub fn gcd(a: i64, b: i64) -> i64 {
        kernels::gcd(a, b)
    }
}
