//! Bodies about policies: which ones are in force, and what came of reading them again.

use serde::{Deserialize, Serialize};

/// A policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyEntry {
    /// The dataset.
    pub dataset: String,
    /// Version.
    pub version: u32,
    /// SHA-256 of its text.
    pub sha256: String,
    /// The trusted key that signed it; none where the region takes policies without a signature.
    pub signed_by: Option<String>,
}

/// The policies in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyList {
    /// The region.
    pub region: String,
    /// Digest of all of them together.
    pub sha256: String,
    /// In the order of the datasets' names.
    pub policies: Vec<PolicyEntry>,
}

/// A policy that another version took the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// The dataset.
    pub dataset: String,
    /// The version before.
    pub from_version: u32,
    /// The version in force now.
    pub to_version: u32,
}

/// Answer to `POST /v1/policies/reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadAnswer {
    /// What changed; nothing where the files are those that were in force.
    pub changed: Vec<PolicyChange>,
    /// What is in force now.
    #[serde(flatten)]
    pub now: PolicyList,
}
