//! Releases: which versions of a plugin answer, and what may become of them. Nothing here reads a clock or a disk.

use domicile_types::PluginName;
use domicile_types::limits::RELEASE_HISTORY_MAX;
use domicile_wire::plugins::{Canary, PluginVersion, Release, VersionRef};

use super::registry::reference;
use crate::QueryError;

/// A change of a plugin's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseChange {
    /// This version answers from now on. It stops being a canary or a shadow.
    Promote {
        /// The version.
        version: String,
    },
    /// The version that was active before answers again, and no canary.
    Rollback,
    /// This version answers that many questions of a hundred; none ends the one there is.
    Canary(Option<(String, u8)>),
    /// This version is asked as well, off the way of the answer; none ends the one there is.
    Shadow(Option<String>),
}

/// When and where a release was changed: of two releases, the one with the greater stamp counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) changed_at: u64,
    pub(super) origin: String,
}

impl Stamp {
    pub(super) fn of(release: &Release) -> Self {
        Self { changed_at: release.changed_at, origin: release.origin.clone() }
    }
}

/// The release of a plugin whose first version this is.
pub(super) fn first(version: &PluginVersion, stamp: Stamp) -> Release {
    Release {
        name: version.name.clone(),
        active: reference(version),
        canary: None,
        shadow: None,
        history: Vec::new(),
        revision: 1,
        changed_at: stamp.changed_at,
        origin: stamp.origin,
    }
}

/// What a version is in a release: `active`, `canary` or `shadow`; none where it is not in use.
pub(super) fn role(release: &Release, version: &str, sha256: &str) -> Option<&'static str> {
    let same = |other: &str, other_sha256: &str| other == version && other_sha256 == sha256;
    let canary = release.canary.as_ref().is_some_and(|canary| same(&canary.version, &canary.sha256));
    let shadow = release.shadow.as_ref().is_some_and(|shadow| same(&shadow.version, &shadow.sha256));
    if same(&release.active.version, &release.active.sha256) {
        return Some("active");
    }
    if canary { Some("canary") } else { shadow.then_some("shadow") }
}

/// Every version that a release uses.
pub(super) fn used(release: &Release) -> impl Iterator<Item = VersionRef> {
    let canary = release
        .canary
        .as_ref()
        .map(|canary| VersionRef { version: canary.version.clone(), sha256: canary.sha256.clone() });
    [Some(release.active.clone()), canary, release.shadow.clone()].into_iter().flatten()
}

/// The release after a change. `deployed` are the plugin's versions.
///
/// # Errors
/// Where there is no such version, it has another part already, or there is nothing to go back to.
pub(super) fn changed(
    release: &Release,
    change: &ReleaseChange,
    deployed: &[&PluginVersion],
    stamp: Stamp,
) -> Result<Release, QueryError> {
    let mut next = Release { revision: release.revision + 1, ..release.clone() };
    next.changed_at = stamp.changed_at;
    next.origin = stamp.origin;
    match change {
        ReleaseChange::Promote { version } => {
            let active = find(deployed, version)?;
            if active != next.active {
                let before = std::mem::replace(&mut next.active, active);
                next.history.push(before);
            }
        }
        ReleaseChange::Rollback => {
            // A version that was deleted meanwhile is passed over.
            let before = std::iter::from_fn(|| next.history.pop()).find(|before| {
                let kept = |version: &&PluginVersion| reference(version) == *before;
                deployed.iter().any(kept)
            });
            next.active = before.ok_or_else(|| QueryError::NothingBefore { name: release.name.clone() })?;
            next.canary = None;
        }
        ReleaseChange::Canary(None) => next.canary = None,
        ReleaseChange::Canary(Some((version, percent))) => {
            if !(1..=100).contains(percent) {
                return Err(QueryError::Parameter {
                    name: "percent".to_owned(),
                    expected: "a whole number from 1 to 100".to_owned(),
                    value: percent.to_string(),
                });
            }
            let VersionRef { version, sha256 } = other_than_active(release, find(deployed, version)?)?;
            next.canary = Some(Canary { version, sha256, percent: *percent });
        }
        ReleaseChange::Shadow(None) => next.shadow = None,
        ReleaseChange::Shadow(Some(version)) => {
            next.shadow = Some(other_than_active(release, find(deployed, version)?)?);
        }
    }
    settle(&mut next);
    Ok(next)
}

/// What is active is neither canary nor shadow, and the history is bounded.
fn settle(release: &mut Release) {
    let active = release.active.clone();
    let canary = release.canary.take();
    release.canary = canary.filter(|canary| canary.version != active.version);
    release.shadow = release.shadow.take().filter(|shadow| *shadow != active);
    let surplus = release.history.len().saturating_sub(RELEASE_HISTORY_MAX);
    release.history.drain(..surplus);
}

fn find(deployed: &[&PluginVersion], version: &str) -> Result<VersionRef, QueryError> {
    let found = deployed.iter().find(|kept| kept.version == version).map(|kept| reference(kept));
    let known = deployed.iter().map(|kept| kept.version.as_str());
    found.ok_or_else(|| QueryError::unknown("version", version, known))
}

fn other_than_active(release: &Release, version: VersionRef) -> Result<VersionRef, QueryError> {
    if version == release.active {
        return Err(QueryError::VersionInUse { name: release.name.clone(), version: version.version, role: "active" });
    }
    Ok(version)
}

/// Whether a question of that id goes to the canary. The same question gives the same answer everywhere; of many
/// questions, `percent` of a hundred say yes, and whether one does for one plugin tells nothing about another plugin.
pub(super) fn goes_to_canary(query_id: &str, name: &PluginName, percent: u8) -> bool {
    let draw = domicile_wire::receipt::sha256(format!("canary {name} {query_id}").as_bytes()).0;
    let draw = u64::from_le_bytes([draw[0], draw[1], draw[2], draw[3], draw[4], draw[5], draw[6], draw[7]]);
    draw % 100 < u64::from(percent)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
