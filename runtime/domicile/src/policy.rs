//! `domicile policy`.

use std::collections::BTreeSet;
use std::path::Path;

use domicile_config::{RegionFiles, load_region};
use domicile_policy::PolicySet;
use serde_json::json;

use crate::args::PolicyVerb;
use crate::output::{Failure, Output, say};

pub(crate) fn run(output: Output, verb: &PolicyVerb) -> Result<(), Failure> {
    let PolicyVerb::Check { config } = verb;
    let files = load_region(config).map_err(anyhow::Error::from)?;
    let policies = load(config, &files)?.explain();
    let (file, region) = (config.display().to_string(), files.config.id.as_str());
    output.show(&json!({"ok": true, "file": file, "region": region, "policies": policies}), || {
        for (number, policy) in policies.iter().enumerate() {
            if number > 0 {
                say!("");
            }
            say!("{policy}");
        }
    });
    Ok(())
}

/// The policies of a region, which name no regions but itself and its peers.
pub(crate) fn load(config: &Path, files: &RegionFiles) -> Result<PolicySet, Failure> {
    let datasets: Vec<_> = files.datasets.iter().map(|file| (file.dataset.clone(), file.reference)).collect();
    let policies = PolicySet::load(&datasets, &files.policy_texts).map_err(anyhow::Error::from)?;
    let known = files.config.peers.iter().map(|peer| peer.id.clone()).chain([files.config.id.clone()]);
    if let Some(stranger) = policies.regions().difference(&known.collect::<BTreeSet<_>>()).next() {
        let path = config.display();
        let message = format!(
            "{path}: the policies name region `{stranger}`, which is neither this region nor a peer; add a [[peer]] \
             section for it, or let `policies_dir` name a folder of policies that know only the regions there are"
        );
        return Err(Failure::usage(message));
    }
    Ok(policies)
}
