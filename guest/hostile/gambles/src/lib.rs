//! Wants randomness, which plugins are not given, by way of a hash map: the host has to refuse it at load.

use std::collections::HashMap;

fn gambles(text: &str) -> i64 {
    let mut counts = HashMap::<char, i64>::new();
    text.chars().for_each(|letter| *counts.entry(letter).or_default() += 1);
    counts.values().next().copied().unwrap_or(0)
}

domicile_sdk::functions! {
    fn gambles(text: &str) -> i64;
}
