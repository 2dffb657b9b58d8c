//! Calls itself without end: the host has to end the call at its stack limit.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    /// Calls itself once more.
    pub fn recurses(value: i64) -> i64 {
        recurse(value)
    }

    #[inline(never)]
    fn recurse(value: i64) -> i64 {
        if value == i64::MIN { value } else { recurse(value.wrapping_add(1)).rotate_left(1) ^ value }
    }
}
