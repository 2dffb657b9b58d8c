//! Panics, in each of the exports of functions: the host has to say where, and to go on serving.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    /// Does not like negative prices.
    pub fn panics(price: f64) -> f64 {
        assert!(price >= 0.0, "a price is negative");
        price
    }

    /// Says that it does not like negative prices.
    pub fn fails(price: f64) -> Result<f64, String> {
        if price >= 0.0 { Ok(price) } else { Err("a price is negative".to_owned()) }
    }

    /// Prints.
    pub fn prints(price: f64) -> f64 {
        println!("{price}");
        price
    }

    /// Traps without a word.
    pub fn aborts(price: f64) -> f64 {
        if price < 0.0 {
            core::arch::wasm32::unreachable()
        }
        price
    }

    /// Panics where the last price that it took in says.
    #[derive(Default)]
    pub struct Faints {
        price: f64,
    }

    #[aggregate]
    impl Faints {
        fn update(&mut self, price: f64) {
            assert!(price != 1.0, "update");
            self.price = price;
        }

        fn merge(&mut self, other: Self) {
            assert!(other.price != 2.0, "merge");
            self.price = other.price;
        }

        fn finish(&self) -> f64 {
            assert!(self.price != 3.0, "finish");
            self.price
        }

        fn to_bytes(&self) -> Vec<u8> {
            assert!(self.price != 4.0, "state");
            self.price.to_le_bytes().to_vec()
        }

        fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
            let price = bytes.try_into().map_err(|_| "a state has 8 bytes")?;
            Ok(Self { price: f64::from_le_bytes(price) })
        }
    }
}
