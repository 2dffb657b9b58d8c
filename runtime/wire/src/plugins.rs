//! Bodies about plugins: versions, releases, and what regions tell each other of them.

use serde::{Deserialize, Serialize};

use crate::api::RegionReason;
use crate::signature::Envelope;

/// One deployed version of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginVersion {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the component.
    pub sha256: String,
    /// World: `functions`, `mapper`, `query` or `merge`.
    pub world: String,
    /// What callers may use: function signatures, the mapper's table, or the columns of the endpoint's answer.
    pub provides: Vec<String>,
    /// When it was deployed, in Unix milliseconds by the clock of the region that it was deployed at.
    #[serde(alias = "activation")]
    pub deployed_at_ms: u64,
    /// The trusted key that signed it; none where it came without a signature.
    #[serde(default)]
    pub signed_by: Option<String>,
}

/// A version as regions offer it to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferedVersion {
    /// What is known of it.
    #[serde(flatten)]
    pub version: PluginVersion,
    /// The signature that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Envelope>,
}

/// One version of a plugin, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRef {
    /// Version.
    pub version: String,
    /// SHA-256 of the component.
    pub sha256: String,
}

/// A version that answers a share of the questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Version.
    pub version: String,
    /// SHA-256 of the component.
    pub sha256: String,
    /// Share, in questions of a hundred: 1 to 100.
    pub percent: u8,
}

/// Which versions of a plugin answer. The same in every region; of two, the one that was changed last counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The plugin.
    pub name: String,
    /// The version that answers.
    pub active: VersionRef,
    /// The version that answers a share instead.
    pub canary: Option<Canary>,
    /// The version that is asked as well, off the way of the answer, and compared.
    pub shadow: Option<VersionRef>,
    /// Versions that were active before, the last one last.
    pub history: Vec<VersionRef>,
    /// Counts the changes.
    pub revision: u64,
    /// When it was changed, as a hybrid logical clock counts.
    pub changed_at: u64,
    /// The region that it was changed at.
    pub origin: String,
}

/// A version that was deleted and is not to come back by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovedVersion {
    /// The plugin.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the component: a version never changes, not even by being deleted and deployed again.
    pub sha256: String,
    /// When it was deleted, in Unix milliseconds. What was deployed later is another deployment.
    pub removed_at_ms: u64,
}

/// All that a region knows of plugins, for its peers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PluginState {
    /// Every deployed version.
    pub versions: Vec<OfferedVersion>,
    /// One for each plugin that has an active version.
    pub releases: Vec<Release>,
    /// Deleted versions.
    pub removed: Vec<RemovedVersion>,
}

/// Something of a peer that a region did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotTaken {
    /// The plugin.
    pub name: String,
    /// The version; none where it is the plugin's release.
    pub version: Option<String>,
    /// Why.
    pub reason: String,
}

/// What came of comparing with a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Compared {
    /// Versions, releases and deletions that were taken.
    pub taken: usize,
    /// What was not.
    pub not_taken: Vec<NotTaken>,
}

/// Answer to a deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeployAnswer {
    /// What was deployed.
    #[serde(flatten)]
    pub plugin: PluginVersion,
    /// Whether it is the version that answers now; otherwise it waits to be promoted.
    pub active: bool,
    /// The version that answers now.
    pub active_version: String,
    /// Regions that have it now.
    pub deployed_in: Vec<String>,
    /// Regions that will fetch it as soon as they can.
    pub pending_in: Vec<RegionReason>,
}

/// Answer to a change of a release.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseAnswer {
    /// The release as it is now.
    pub release: Release,
    /// Regions that know it.
    pub known_in: Vec<String>,
    /// Regions that will learn of it as soon as they can.
    pub pending_in: Vec<RegionReason>,
    /// How the version that was promoted did as a shadow, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
}

/// Answer to a deletion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveAnswer {
    /// What was deleted.
    pub removed: RemovedVersion,
    /// Regions that know it.
    pub known_in: Vec<String>,
    /// Regions that will learn of it as soon as they can.
    pub pending_in: Vec<RegionReason>,
}

/// Body of `POST /v1/plugins/{name}/promote`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteBody {
    /// The version that is to answer.
    pub version: String,
}

/// Body of `POST /v1/plugins/{name}/canary`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryBody {
    /// The version that is to answer a share; null ends the one there is.
    pub version: Option<String>,
    /// The share: 1 to 100 questions of a hundred.
    #[serde(default)]
    pub percent: Option<u8>,
}

/// Body of `POST /v1/plugins/{name}/shadow`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowBody {
    /// The version that is to be asked as well; null ends the one there is.
    pub version: Option<String>,
}

/// A plugin version that an answer used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginUse {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the component.
    pub sha256: String,
}

/// Half of the times are at most `p50`, ninety-nine of a hundred at most `p99`, all but one of a thousand at most `p99_9`;
/// in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Times {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    #[serde(default)]
    pub p99_9: f64,
}

/// An answer of a shadow that was another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowDifference {
    /// The question that was answered.
    pub query_id: String,
    /// Rows of the answer.
    pub rows: usize,
    /// Rows of the shadow's.
    pub shadow_rows: usize,
    /// Names of the columns shown.
    pub columns: Vec<String>,
    /// The first row that the shadow does not have, value by value; none where the shadow has all of them.
    pub row: Option<Vec<Option<String>>>,
    /// The row that the shadow has in its place.
    pub shadow_row: Option<Vec<Option<String>>>,
}

/// How a shadow does, by the questions asked at this region since the shadow was set or the region started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ShadowReport {
    /// The plugin.
    pub name: String,
    /// The version that answers.
    pub active: String,
    /// The version that is asked as well.
    pub shadow: String,
    /// Answers compared: `equal` and `different` together.
    pub compared: u64,
    /// Answers that were the same.
    pub equal: u64,
    /// Answers that were not.
    pub different: u64,
    /// Questions that only the shadow failed to answer.
    pub failed: u64,
    /// Questions of which the policies let the shadow's part not cross; compared in this region alone where it has rows.
    pub denied: u64,
    /// Answers that were not compared: too much was under way, or they were too large.
    pub dropped: u64,
    /// Answers that could not be compared, since rows or regions came or went between the two.
    pub unsteady: u64,
    /// Bytes that crossed borders for the shadow.
    pub border_bytes: u64,
    /// Times of the version that answers, milliseconds.
    pub active_ms: Times,
    /// Times of the shadow, milliseconds.
    pub shadow_ms: Times,
    /// Median of the shadow over that of the version that answers: 2 is twice as slow. None before there are times.
    pub slower: Option<f64>,
    /// Why the shadow failed the last time.
    pub last_failure: Option<String>,
    /// The latest differences, the last one last.
    pub differences: Vec<ShadowDifference>,
}

/// What one version of a plugin cost at one region since it was loaded there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionMetrics {
    /// Version.
    pub version: String,
    /// `active`, `canary` or `shadow`; none where it is not in use.
    pub role: Option<String>,
    /// Questions asked at this region that used it and were answered, those of shadows included.
    pub questions_answered: u64,
    /// Those that were not.
    pub questions_failed: u64,
    /// Calls into it, failed ones included.
    pub calls: u64,
    /// Calls that trapped, or answered what they may not.
    pub traps: u64,
    /// Calls that a limit ended.
    pub limit_hits: u64,
    /// Calls in which it said that it cannot do what it was asked.
    pub failures: u64,
    /// How long calls took, milliseconds.
    pub call_ms: Times,
    /// The processor's time, milliseconds.
    pub cpu_ms: f64,
    /// The largest linear memory of an instance, in bytes.
    pub memory_bytes_peak: usize,
    /// Bytes of columns that it read.
    pub bytes_in: u64,
    /// Bytes of columns that it wrote.
    pub bytes_out: u64,
    /// Calls of the host.
    pub host_calls: u64,
}

/// A line that a plugin logged. It may hold values of rows, and is shown where they live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginLogLine {
    /// Counts the version's lines since it was loaded, from 0.
    pub sequence: u64,
    /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    pub level: String,
    /// The text.
    pub text: String,
}
