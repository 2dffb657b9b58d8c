//! Keeps what it saw in a static, and never finishes an aggregate: neither may be felt by another query.

use std::cell::Cell;

thread_local! {
    static SEEN: Cell<i64> = const { Cell::new(0) };
}

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use super::SEEN;

    /// How many values this instance saw before this one; null for a negative one.
    pub fn seen(value: i64) -> Option<i64> {
        let before = SEEN.replace(SEEN.get() + 1);
        (value >= 0).then_some(before)
    }

    /// The state of `endless`.
    #[derive(Default)]
    pub struct Endless;

    #[aggregate]
    impl Endless {
        /// Never returns.
        pub fn update(&mut self, value: i64) {
            let mut value = value;
            loop {
                value = std::hint::black_box(value.wrapping_add(1));
            }
        }

        /// Never reached.
        pub fn merge(&mut self, _other: &Self) {}

        /// Never reached.
        pub fn finish(&self) -> Option<i64> {
            None
        }

        /// Nothing.
        pub fn to_bytes(&self) -> Vec<u8> {
            Vec::new()
        }

        /// Nothing.
        pub fn from_bytes(_bytes: &[u8]) -> Result<Self, String> {
            Ok(Self)
        }
    }
}
