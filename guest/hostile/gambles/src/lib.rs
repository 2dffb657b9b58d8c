//! Wants randomness, which plugins are not given, by way of a hash map: the host has to refuse it at load.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use std::collections::HashMap;

    /// Counts letters, and answers any of the counts.
    pub fn gambles(text: &str) -> i64 {
        let mut counts = HashMap::<char, i64>::new();
        text.chars().for_each(|letter| *counts.entry(letter).or_default() += 1);
        counts.values().next().copied().unwrap_or(0)
    }
}
