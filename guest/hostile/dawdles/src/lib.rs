//! Lets the host work without end: the time that kernels take is the call's. Or takes long, and ends.

use std::cell::Cell;

thread_local! {
    static TOLD: Cell<bool> = const { Cell::new(false) };
}

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use domicile_sdk::bindings::functions::domicile::plugin::columns::{self, Contents, Values};
    use domicile_sdk::bindings::functions::domicile::plugin::kernels::{SortKey, sort};

    use domicile_sdk::{Level, log};

    use super::TOLD;

    const ROWS: i64 = 1_000_000;
    /// Some thousandths of a second.
    const ROUNDS: i64 = 4_000_000;

    /// Sorts without end.
    pub fn dawdles(seed: i64) -> i64 {
        let rows = (0..ROWS).map(|row| (row ^ seed).wrapping_mul(0x1e37_79b9_7f4a_7c15)).collect();
        let column = columns::write(&Contents { values: Values::Bigint(rows), validity: None });
        let mut orders = 0;
        loop {
            orders ^= sort(&[SortKey { column, descending: false, nulls_first: false }]);
            std::hint::black_box(orders);
        }
    }

    /// The value, after a while. Tells when it begins with the first one.
    pub fn ponders(value: i64) -> i64 {
        if !TOLD.replace(true) {
            log(Level::Info, "pondering");
        }
        (0..ROUNDS).for_each(|round| {
            std::hint::black_box(round);
        });
        value
    }
}
