//! Components that are versions of another one.

use anyhow::{Result, ensure};

/// The same component with other bytes: a custom section more, which means nothing.
pub fn same_again(wasm: &[u8], note: &str) -> Vec<u8> {
    let name = b"note";
    // Both lengths take one byte, being below 128.
    let content = [&[u8::try_from(name.len()).unwrap_or(0)][..], name, note.as_bytes()].concat();
    let section = [&[0, u8::try_from(content.len() % 128).unwrap_or(0)][..], &content].concat();
    [wasm, &section].concat()
}

/// The component with one text in it written in another way, of the same length.
///
/// # Errors
/// Where it does not have the text exactly once.
pub fn with_text(wasm: &[u8], from: &str, to: &str) -> Result<Vec<u8>> {
    ensure!(from.len() == to.len(), "{from} and {to}");
    let places: Vec<usize> =
        wasm.windows(from.len()).enumerate().filter(|(_, part)| *part == from.as_bytes()).map(|(at, _)| at).collect();
    ensure!(places.len() == 1, "`{from}` stands {} times in the component", places.len());
    let mut changed = wasm.to_vec();
    changed[places[0]..places[0] + to.len()].copy_from_slice(to.as_bytes());
    Ok(changed)
}

/// The component with a number in it replaced, wherever the code has it.
///
/// # Errors
/// Where it does not have the number.
pub fn with_number(wasm: &[u8], from: f64, to: f64) -> Result<Vec<u8>> {
    let (from, to) = (from.to_le_bytes(), to.to_le_bytes());
    let places: Vec<usize> =
        wasm.windows(from.len()).enumerate().filter(|(_, part)| *part == from).map(|(at, _)| at).collect();
    ensure!(!places.is_empty(), "{from:?} is not in the component");
    let mut changed = wasm.to_vec();
    places.into_iter().for_each(|at| changed[at..at + to.len()].copy_from_slice(&to));
    Ok(changed)
}
