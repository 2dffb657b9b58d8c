//! The SDK that goes with a plugin.

use std::path::Path;

use super::write;
use crate::AuthorError;

/// Files by their paths below the root of this project.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/vendored.rs"));

/// Where they go, below the plugin's folder. The paths below are the same as here, because the SDK finds the contract
/// by its own place.
const FOLDER: &str = "vendor/domicile";
const WORKSPACE: &str = "guest/Cargo.toml";
const LOCK: &str = "guest/Cargo.lock";

/// Writes the SDK, and the versions of all crates that it was tried with.
pub(super) fn write_all(folder: &Path) -> Result<(), AuthorError> {
    for (path, text) in FILES {
        match *path {
            WORKSPACE => write(&folder.join(FOLDER).join(path), &sdk_only(text)?)?,
            // Cargo leaves out what is not needed here, and adds the plugin itself.
            LOCK => write(&folder.join("Cargo.lock"), text)?,
            _ => write(&folder.join(FOLDER).join(path), text)?,
        }
    }
    Ok(())
}

/// The workspace of the SDK without the plugins of this project.
fn sdk_only(manifest: &str) -> Result<String, AuthorError> {
    let wrong = |problem: String| AuthorError::File { path: WORKSPACE.into(), problem };
    let mut manifest: toml::Table = manifest.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    manifest.remove("profile");
    if let Some(workspace) = manifest.get_mut("workspace").and_then(toml::Value::as_table_mut) {
        workspace.insert("members".to_owned(), ["sdk", "sdk-macros"].map(toml::Value::from).to_vec().into());
    }
    toml::to_string(&manifest).map_err(|error| wrong(error.to_string()))
}
