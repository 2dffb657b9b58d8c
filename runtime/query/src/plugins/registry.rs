//! What a region keeps of its plugins in one file: versions, releases, deletions. It changes as a whole.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use domicile_store::write_atomic;
use domicile_types::Hlc;
use domicile_types::limits::PLUGINS_REMOVED_MAX;
use domicile_wire::plugins::{OfferedVersion, PluginState, PluginVersion, Release, RemovedVersion, VersionRef};
use domicile_wire::receipt::sha256;
use serde::{Deserialize, Serialize};

use super::release;
use crate::QueryError;

const SCHEMA: u32 = 2;

/// The file's form: the state, and a digest of its text, so that damage is not taken for a release.
#[derive(Serialize, Deserialize)]
struct Kept {
    schema: u32,
    sha256: String,
    #[serde(flatten)]
    state: PluginState,
}

/// The file that a region keeps its plugins in.
#[derive(Debug)]
pub(super) struct RegistryFile(pub(super) PathBuf);

impl RegistryFile {
    /// What was kept last; nothing before anything was.
    ///
    /// # Errors
    /// Where the file cannot be read, or was damaged.
    pub(super) fn read(&self) -> Result<PluginState, QueryError> {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(PluginState::default()),
            Err(error) => return Err(unreadable(&self.0, &error.to_string())),
        };
        parse(&bytes).map_err(|detail| unreadable(&self.0, &detail))
    }

    /// Keeps the state, durable when this returns.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(super) fn write(&self, state: &PluginState) -> Result<(), QueryError> {
        let failed = |e: serde_json::Error| QueryError::Execution(e.to_string());
        let kept = Kept { schema: SCHEMA, sha256: digest(state).map_err(failed)?, state: state.clone() };
        Ok(write_atomic(&self.0, &serde_json::to_vec_pretty(&kept).map_err(failed)?)?)
    }
}

fn unreadable(path: &Path, detail: &str) -> QueryError {
    let path = path.display();
    QueryError::Execution(format!(
        "{path} is damaged: {detail}; restore it from a backup of the data folder, or move it away and deploy again"
    ))
}

fn digest(state: &PluginState) -> Result<String, serde_json::Error> {
    Ok(sha256(&serde_json::to_vec(state)?).to_string())
}

fn parse(bytes: &[u8]) -> Result<PluginState, String> {
    // Before there were releases, the file was a list of versions.
    if bytes.trim_ascii_start().starts_with(b"[") {
        let versions: Vec<PluginVersion> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        return Ok(first_releases(versions));
    }
    let kept: Kept = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if kept.schema != SCHEMA {
        return Err(format!("schema {} is not known, this program reads schema {SCHEMA}", kept.schema));
    }
    let actual = digest(&kept.state).map_err(|e| e.to_string())?;
    if actual == kept.sha256 { Ok(kept.state) } else { Err("its content does not have its digest".to_owned()) }
}

/// Releases as they were when the newest version of a name was the active one. The same in every region.
fn first_releases(versions: Vec<PluginVersion>) -> PluginState {
    let mut state = PluginState::default();
    let mut ordered = versions.clone();
    ordered.sort_by_key(|version| (version.deployed_at_ms, version.sha256.clone()));
    for version in ordered {
        let stamp = release::Stamp { changed_at: Hlc::default().next(version.deployed_at_ms).0, origin: String::new() };
        let release = release::first(&version, stamp);
        state.releases.retain(|other| other.name != release.name);
        state.releases.push(release);
    }
    state.versions = versions.into_iter().map(|version| OfferedVersion { version, envelope: None }).collect();
    state
}

pub(super) fn version<'s>(state: &'s PluginState, name: &str, version: &str) -> Option<&'s OfferedVersion> {
    state.versions.iter().find(|kept| kept.version.name == name && kept.version.version == version)
}

pub(super) fn release<'s>(state: &'s PluginState, name: &str) -> Option<&'s Release> {
    state.releases.iter().find(|release| release.name == name)
}

pub(super) fn removed<'s>(state: &'s PluginState, name: &str, version: &str) -> Option<&'s RemovedVersion> {
    state.removed.iter().find(|removed| removed.name == name && removed.version == version)
}

/// Puts a release in the place of the one there was.
pub(super) fn set_release(state: &mut PluginState, release: Release) {
    // Whoever uses a version undoes its deletion elsewhere.
    let used = |removed: &RemovedVersion| {
        removed.name == release.name && release::role(&release, &removed.version, &removed.sha256).is_some()
    };
    state.removed.retain(|removed| !used(removed));
    state.releases.retain(|other| other.name != release.name);
    state.releases.push(release);
}

/// Notes a deletion, and forgets the oldest past the limit. What is deployed later than that stays.
pub(super) fn set_removed(state: &mut PluginState, removed: RemovedVersion) {
    let same = |name: &str, version: &str| name == removed.name && version == removed.version;
    state.versions.retain(|kept| {
        !same(&kept.version.name, &kept.version.version) || kept.version.deployed_at_ms > removed.removed_at_ms
    });
    state.removed.retain(|other| !same(&other.name, &other.version));
    if state.removed.len() >= PLUGINS_REMOVED_MAX {
        let oldest = state.removed.iter().enumerate().min_by_key(|(_, removed)| removed.removed_at_ms);
        if let Some((oldest, _)) = oldest {
            state.removed.swap_remove(oldest);
        }
    }
    state.removed.push(removed);
}

/// A version as releases name it.
pub(super) fn reference(version: &PluginVersion) -> VersionRef {
    VersionRef { version: version.version.clone(), sha256: version.sha256.clone() }
}
