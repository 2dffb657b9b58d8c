//! Attacks that are known to succeed, each with what is missing against it (`known.toml`). The list can only get shorter:
//! an attack on it that fails is an error, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    known: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// What is missing against them.
    missing: String,
    /// `family: name` of each.
    attacks: Vec<String>,
}

/// What is missing, by `family: name` of the attack.
///
/// # Errors
/// Where the file cannot be read, or lists an attack twice.
pub fn read() -> Result<BTreeMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("known.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let mut known = BTreeMap::new();
    for group in file.known {
        for attack in group.attacks {
            ensure!(known.insert(attack.clone(), group.missing.clone()).is_none(), "`{attack}` is listed twice");
        }
    }
    Ok(known)
}
