//! Policy files, with whoever signed them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::anyhow;
use domicile_config::{PolicyFiles, RegionFiles, load_datasets, load_policies};
use domicile_policy::PolicySet;
use domicile_query::{PolicySource, PolicyTrust, QueryError, SignedPolicies};
use ed25519_dalek::VerifyingKey;

use crate::output::Failure;

/// The policies of a region, each of them signed where its file asks for that.
///
/// # Errors
/// Where a signature or a policy is refused.
pub(crate) fn load(files: &RegionFiles) -> anyhow::Result<SignedPolicies> {
    load_trusting(files, &trust(files)?)
}

/// The policies of a region, each of them signed where `trust` asks for that.
///
/// # Errors
/// Where a signature or a policy is refused.
pub(super) fn load_trusting(files: &RegionFiles, trust: &PolicyTrust) -> anyhow::Result<SignedPolicies> {
    let datasets: Vec<_> = files.datasets.iter().map(|file| (file.dataset.clone(), file.reference)).collect();
    Ok(SignedPolicies::load(&datasets, &files.policy_texts, &files.policy_signatures, trust)?)
}

/// Reads the policies of a region again, as they are on disk then. Whom it trusts stays as it was.
///
/// # Errors
/// Where a key is none.
pub(crate) fn source(files: &RegionFiles) -> anyhow::Result<PolicySource> {
    let trust = trust(files)?;
    let (datasets_dir, policies_dir) = (files.config.datasets_dir.clone(), files.config.policies_dir.clone());
    Ok(Box::new(move || {
        let unreadable =
            |error: domicile_config::ConfigError| QueryError::PoliciesRefused { detail: error.to_string() };
        let datasets = load_datasets(&datasets_dir).map_err(unreadable)?;
        let datasets: Vec<_> = datasets.into_iter().map(|file| (file.dataset, file.reference)).collect();
        let PolicyFiles { texts, signatures } = load_policies(&policies_dir).map_err(unreadable)?;
        SignedPolicies::load(&datasets, &texts, &signatures, &trust)
    }))
}

/// Whose policies count, by the region's file.
///
/// # Errors
/// Where a key is no point of the curve that anybody could sign with.
fn trust(files: &RegionFiles) -> anyhow::Result<PolicyTrust> {
    let keys = files.config.policies.trusted_keys.as_deref();
    Ok(PolicyTrust { keys: keys.map(verifying_keys).transpose()? })
}

/// Keys as a region's file lists them.
///
/// # Errors
/// Where one is no point of the curve that anybody could sign with.
pub(crate) fn verifying_keys(keys: &[domicile_config::PublicKey]) -> anyhow::Result<Vec<VerifyingKey>> {
    let key = |key: &domicile_config::PublicKey| {
        let parsed = VerifyingKey::from_bytes(&key.0).ok().filter(|parsed| !parsed.is_weak());
        parsed.ok_or_else(|| {
            anyhow!("`{key}` in `trusted_keys` is not a key that anybody could sign with; copy it again")
        })
    };
    keys.iter().map(key).collect()
}

/// Holds where the policies name no regions but this one and its peers.
///
/// # Errors
/// Where they name another.
pub(crate) fn check_known(config: &Path, files: &RegionFiles, policies: &PolicySet) -> Result<(), Failure> {
    let known = files.config.peers.iter().map(|peer| peer.id.clone()).chain([files.config.id.clone()]);
    let Some(stranger) = policies.regions().difference(&known.collect::<BTreeSet<_>>()).next().cloned() else {
        return Ok(());
    };
    let path = config.display();
    Err(Failure::usage(format!(
        "{path}: the policies name region `{stranger}`, which is neither this region nor a peer; add a [[peer]] section \
         for it, or let `policies_dir` name a folder of policies that know only the regions there are"
    )))
}
