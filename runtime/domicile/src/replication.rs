//! Replication sets as the region's files have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use domicile_config::{Peer, RegionFiles};
use domicile_store::{DatasetSpec, Noting};
use domicile_sync::{Applier, CONFLICTS, Policy, SIBLINGS};
use domicile_types::{Acknowledge, DatasetName, ReplicationSet, Residency, RowPolicy, SetName};

/// What a region replicates, and how it settles conflicts.
pub(crate) struct Replicated {
    pub(crate) sets: Vec<ReplicationSet>,
    pub(crate) applier: Arc<Applier>,
}

/// The sets that the region is in.
fn own(files: &RegionFiles) -> impl Iterator<Item = &ReplicationSet> {
    files.replication.iter().filter(|set| set.regions.contains(&files.config.id))
}

/// The set that each dataset is in.
pub(crate) fn sets_of(files: &RegionFiles) -> BTreeMap<DatasetName, SetName> {
    own(files).flat_map(|set| set.datasets.iter().map(|dataset| (dataset.clone(), set.name.clone()))).collect()
}

/// The datasets in which the region keeps what it knows of conflicts, where it is in a set.
///
/// # Errors
/// Where a dataset of the region has one of their names.
pub(crate) fn system_specs(files: &RegionFiles) -> anyhow::Result<Vec<DatasetSpec>> {
    if own(files).next().is_none() {
        return Ok(Vec::new());
    }
    let is_taken = |name: &&str| files.datasets.iter().any(|file| file.dataset.name.as_str() == *name);
    if let Some(name) = [CONFLICTS, SIBLINGS].into_iter().find(is_taken) {
        bail!("dataset `{name}` has a name that replication needs for itself; give it another one");
    }
    Ok(domicile_sync::system_specs()?)
}

/// What the region is to replicate.
///
/// # Errors
/// Where a set or a conflict policy asks for what this version cannot do.
pub(crate) fn load(files: &RegionFiles) -> anyhow::Result<Replicated> {
    for set in own(files) {
        let law = &files.config.jurisdictions;
        let shares =
            |peer: &&Peer| set.regions.contains(&peer.id) && peer.jurisdictions.iter().any(|code| law.contains(code));
        let possible = 1 + files.config.peers.iter().filter(shares).count();
        if let Acknowledge::Jurisdiction { copies } = set.acknowledge
            && possible < usize::from(copies)
        {
            let (name, id) = (&set.name, &files.config.id);
            bail!(
                "replication set `{name}` wants {copies} copies in one jurisdiction, and {possible} of its regions share one with `{id}`; ask for fewer"
            );
        }
    }
    let applier = Arc::new(Applier::new(policies(files)?));
    Ok(Replicated { sets: own(files).cloned().collect(), applier })
}

/// What becomes of conflicts, by dataset.
///
/// # Errors
/// Where a conflict policy asks for what this version cannot do.
fn policies(files: &RegionFiles) -> anyhow::Result<BTreeMap<DatasetName, Policy>> {
    let replicated = sets_of(files);
    let mut policies = BTreeMap::new();
    for file in files.datasets.iter().filter(|file| replicated.contains_key(&file.dataset.name)) {
        if let RowPolicy::Wasm(_) = file.conflict.row {
            bail!("{}: this version has no conflict policy `wasm` yet; take another one", file.path);
        }
        let spec = DatasetSpec { dataset: file.dataset.clone(), residency: Residency::Reference };
        let policy = Policy::new(file.conflict.clone(), &spec).with_context(|| file.path.clone())?;
        policies.insert(file.dataset.name.clone(), policy);
    }
    Ok(policies)
}

/// What lets rows say what they change, by dataset.
///
/// # Errors
/// Where a conflict policy asks for what this version cannot do.
pub(crate) fn noting(files: &RegionFiles) -> anyhow::Result<BTreeMap<DatasetName, Arc<dyn Noting>>> {
    let of = |(dataset, policy): (DatasetName, Policy)| Some((dataset, policy.noting()?));
    Ok(policies(files)?.into_iter().filter_map(of).collect())
}
