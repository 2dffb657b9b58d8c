//! Keeps the numbers of columns for later calls: they mean nothing there.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use std::sync::atomic::{AtomicU32, Ordering};

    use domicile_sdk::bindings::functions::domicile::plugin::columns;
    use domicile_sdk::{Contents, Values};

    static KEPT: AtomicU32 = AtomicU32::new(0);

    /// Makes columns and keeps the last one's number.
    pub fn keeps(value: i64) -> i64 {
        for _ in 0..10 {
            let contents = Contents { values: Values::Bigint(vec![value]), validity: None };
            KEPT.store(columns::write(&contents), Ordering::Relaxed);
        }
        i64::from(columns::rows(KEPT.load(Ordering::Relaxed)))
    }

    /// Reads the column whose number it kept.
    pub fn reads(value: i64) -> i64 {
        match columns::read(KEPT.load(Ordering::Relaxed)).values {
            Values::Bigint(values) => values.first().copied().unwrap_or(value),
            _ => value,
        }
    }
}
