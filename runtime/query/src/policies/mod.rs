//! The policies in force in a region, whose they are, and how others take their place while it runs.

mod keeper;
mod trust;
mod versions;

use std::collections::BTreeMap;

use domicile_policy::{PolicyHead, PolicySet, Succession};
use domicile_types::{Dataset, DatasetName};
use domicile_wire::policies::{PolicyChange, PolicyEntry, PolicyList, ReloadAnswer};

use crate::QueryError;
use crate::catalog::Catalog;
use crate::region::Region;

pub(crate) use keeper::PolicyKeeper;
pub use keeper::PolicySource;
pub use trust::PolicyTrust;

/// A set of policies, and who signed each.
#[derive(Debug, Clone)]
pub struct SignedPolicies {
    /// The policies.
    pub set: PolicySet,
    /// The trusted key, as text, that signed a dataset's policy; empty where no signature is needed.
    pub signed_by: BTreeMap<DatasetName, String>,
}

impl From<PolicySet> for SignedPolicies {
    fn from(set: PolicySet) -> Self {
        Self { set, signed_by: BTreeMap::new() }
    }
}

impl SignedPolicies {
    /// Checks policy files: signatures first, then what the files say of the `datasets` (and whether each is reference
    /// data) and of each other. `texts` are names for messages and texts; `signatures` are by those names.
    ///
    /// # Errors
    /// Where a signature is needed and missing or proves nothing, or the files are refused.
    pub fn load(
        datasets: &[(Dataset, bool)],
        texts: &[(String, String)],
        signatures: &BTreeMap<String, Vec<u8>>,
        trust: &PolicyTrust,
    ) -> Result<Self, QueryError> {
        let refused = |error: domicile_policy::PolicyError| QueryError::PoliciesRefused { detail: error.to_string() };
        let mut signed_by = BTreeMap::new();
        for (file, text) in texts {
            if let Some(signed) = trust.check(file, text, signatures.get(file).map(Vec::as_slice))? {
                let head = PolicyHead::read(file, text).map_err(refused)?;
                signed.is_over(file, &head)?;
                signed_by.insert(head.dataset, signed.key);
            }
        }
        Ok(Self { set: PolicySet::load(datasets, texts).map_err(refused)?, signed_by })
    }
}

/// The policies in force.
pub fn policies(region: &Region) -> PolicyList {
    list(region, &region.catalog())
}

/// Reads the policy files again and lets them take the place of those in force: all of them, or none.
///
/// # Errors
/// Where one of them is refused, or cannot take the place of the one before.
pub async fn reload_policies(region: &Region) -> Result<ReloadAnswer, QueryError> {
    let (changed, catalog) = region.policies.run(PolicyKeeper::reload).await??;
    let now = list(region, &catalog);
    if changed.is_empty() {
        tracing::info!(sha256 = now.sha256, "policies read again; none has changed");
    }
    for Succession { dataset, from_version, to_version } in &changed {
        tracing::info!(%dataset, from_version, to_version, sha256 = now.sha256, "policy in force");
    }
    let change = |change: Succession| PolicyChange {
        dataset: change.dataset.to_string(),
        from_version: change.from_version,
        to_version: change.to_version,
    };
    Ok(ReloadAnswer { changed: changed.into_iter().map(change).collect(), now })
}

fn list(region: &Region, catalog: &Catalog) -> PolicyList {
    let entry = |policy: &domicile_policy::Policy| PolicyEntry {
        dataset: policy.dataset.to_string(),
        version: policy.version,
        sha256: policy.digest.to_string(),
        signed_by: catalog.signed_by(&policy.dataset).map(str::to_owned),
    };
    PolicyList {
        region: region.id().to_string(),
        sha256: catalog.policies().digest().to_string(),
        policies: catalog.policies().policies().map(entry).collect(),
    }
}
