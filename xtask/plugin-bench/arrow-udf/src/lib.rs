//! The functions as `arrow-udf` has them.

use arrow_udf::function;

#[function("net_revenue(float64, float64) -> float64")]
fn net_revenue(price: f64, discount: f64) -> f64 {
    kernels::net_revenue(price, discount)
}

#[function("gcd(int64, int64) -> int64")]
fn gcd(a: i64, b: i64) -> i64 {
    kernels::gcd(a, b)
}
