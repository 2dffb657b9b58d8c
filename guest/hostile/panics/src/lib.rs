//! Panics: the host has to say where, and to go on serving.

fn panics(price: f64) -> f64 {
    assert!(price >= 0.0, "a price is negative");
    price
}

fn fails(price: f64) -> Result<f64, String> {
    if price >= 0.0 { Ok(price) } else { Err("a price is negative".to_owned()) }
}

fn prints(price: f64) -> f64 {
    println!("{price}");
    price
}

domicile_sdk::functions! {
    fn panics(price: f64) -> f64;
    fn fails(price: f64) -> Result<f64, String>;
    fn prints(price: f64) -> f64;
}
