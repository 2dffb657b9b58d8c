//! The versions of policies that were in force last, which a start of the region does not make forgotten: receipts name
//! versions, so that no version may be of two texts, and who cannot sign cannot bring an earlier one back.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use domicile_store::write_atomic;
use serde::{Deserialize, Serialize};

use crate::QueryError;
use crate::policies::SignedPolicies;

/// A version, and the text that had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InForce {
    version: u32,
    sha256: String,
}

/// The file that they are kept in.
#[derive(Debug)]
pub(crate) struct VersionFile(pub(crate) PathBuf);

impl VersionFile {
    /// Keeps what is about to be in force, durable when this returns.
    ///
    /// # Errors
    /// Where a version is earlier than one that was in force, or has another text; where the file cannot be read or
    /// written.
    pub(crate) fn advance(&self, policies: &SignedPolicies) -> Result<(), QueryError> {
        let mut known = self.read()?;
        let before = known.clone();
        for policy in policies.set.policies() {
            let next = InForce { version: policy.version, sha256: policy.digest.to_string() };
            let last = known.get(policy.dataset.as_str());
            if let Some(last) = last.filter(|last| **last != next && next.version <= last.version) {
                let (file, dataset, version) = (&policy.file, &policy.dataset, policy.version);
                let sign = if policies.signed_by.contains_key(dataset) { " and sign it" } else { "" };
                let detail = format!(
                    "{file} is not accepted: version {version} of the policy of `{dataset}` comes after {}, which was in \
                     force here; receipts name versions, so give the text a higher one{sign}",
                    last.version
                );
                return Err(QueryError::PoliciesRefused { detail });
            }
            known.insert(policy.dataset.to_string(), next);
        }
        if known == before { Ok(()) } else { self.write(&known) }
    }

    fn read(&self) -> Result<BTreeMap<String, InForce>, QueryError> {
        let path = self.0.display();
        let unreadable = |detail: String| {
            QueryError::Execution(format!(
                "{path} cannot be read: {detail}; restore it from a backup of the data folder"
            ))
        };
        match std::fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    fn write(&self, known: &BTreeMap<String, InForce>) -> Result<(), QueryError> {
        let bytes = serde_json::to_vec_pretty(known).map_err(|error| QueryError::Execution(error.to_string()))?;
        Ok(write_atomic(&self.0, &bytes)?)
    }
}
