//! Writes the first inputs of every corpus: `cargo run -p seeds`.

mod components;
mod receipts;
mod streams;
mod tokens;

use std::io;
use std::path::Path;

/// A seed: its target, its name there, and its bytes.
type Seed = (&'static str, String, Vec<u8>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seeds = [components::seeds()?, receipts::seeds()?, streams::seeds()?, tokens::seeds()?].concat();
    for (target, name, bytes) in &seeds {
        write(target, name, bytes)?;
    }
    println!("{} seeds", seeds.len());
    Ok(())
}

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}
