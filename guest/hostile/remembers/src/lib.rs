//! Counts its calls, to find in one query what it saw in another: each query has to begin at one.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use std::sync::atomic::{AtomicI64, Ordering};

    static CALLS: AtomicI64 = AtomicI64::new(0);

    /// The sum of all rows that there were, this one included.
    pub fn remembers(step: i64) -> i64 {
        CALLS.fetch_add(step, Ordering::Relaxed) + step
    }

    /// The same, of an aggregate's rows.
    #[derive(Default)]
    pub struct Recalls {
        seen: i64,
    }

    #[aggregate]
    impl Recalls {
        fn update(&mut self, value: i64) {
            self.seen = super::functions::remembers(value);
        }

        fn merge(&mut self, other: Self) {
            self.seen = self.seen.max(other.seen);
        }

        fn finish(&self) -> i64 {
            self.seen
        }

        fn to_bytes(&self) -> Vec<u8> {
            self.seen.to_le_bytes().to_vec()
        }

        fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
            let seen = bytes.try_into().map_err(|_| "a state has 8 bytes")?;
            Ok(Self { seen: i64::from_le_bytes(seen) })
        }
    }
}
