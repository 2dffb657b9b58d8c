//! Never returns: the host has to end the call at its limit of processor time.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    /// Counts without end.
    pub fn spin(value: i64) -> i64 {
        let mut value = value;
        loop {
            value = std::hint::black_box(value.wrapping_add(1));
        }
    }
}
