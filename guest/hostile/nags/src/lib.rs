//! Calls the host without end: the host has to end the call at its limit.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use domicile_sdk::bindings::functions::domicile::plugin::columns;

    /// Asks the same thing without end.
    pub fn nags(value: i64) -> i64 {
        let mut rows = 0;
        loop {
            rows ^= columns::rows(std::hint::black_box(0));
            std::hint::black_box((rows, value));
        }
    }
}
