//! Embeds what a new plugin needs to build anywhere: the SDK's sources, the contract, and tried versions of crates.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Relative to the root of the project; folders with all that is in them.
const EMBEDDED: [&str; 7] = [
    "guest/Cargo.toml",
    "guest/Cargo.lock",
    "guest/sdk/Cargo.toml",
    "guest/sdk/src",
    "guest/sdk-macros/Cargo.toml",
    "guest/sdk-macros/src",
    "wit/plugin.wit",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let mut files = Vec::new();
    for path in EMBEDDED {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
        collect(&root.join(path), &mut files)?;
    }
    files.sort();
    let mut source = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(&root)?.display().to_string();
        writeln!(source, "    ({name:?}, include_str!({:?})),", file.display().to_string())?;
    }
    source.push(']');
    Ok(fs::write(Path::new(&env::var("OUT_DIR")?).join("vendored.rs"), source)?)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}
