//! The copies of rows that live in other regions, as the region's files have them: a store for each home, in
//! `replicas/HOME` of the data directory.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use domicile_config::RegionFiles;
use domicile_query::{CopyParts, HomeCopy};
use domicile_store::{DatasetSpec, Store, StoreParts};
use domicile_types::{RegionId, ReplicationSet, Residency};

use crate::serve::{described, made_dir};

/// The folder of all copies, in the data directory.
const REPLICAS: &str = "replicas";

/// Opens the copies that the region is to have.
///
/// # Errors
/// Where a set has not all that its datasets follow, or a store cannot be opened.
pub(crate) fn open(files: &RegionFiles, specs: &[DatasetSpec]) -> anyhow::Result<Vec<HomeCopy>> {
    files.replication.iter().try_for_each(|set| check_parents(set, specs))?;
    let homes: BTreeSet<&RegionId> =
        files.replication.iter().filter_map(|set| set.copied_from(&files.config.id)).collect();
    homes.into_iter().map(|home| open_one(files, specs, home)).collect()
}

fn open_one(files: &RegionFiles, specs: &[DatasetSpec], home: &RegionId) -> anyhow::Result<HomeCopy> {
    let shown = || format!("the copies of what lives in `{home}`");
    let of_home = |set: &&ReplicationSet| set.copied_from(&files.config.id) == Some(home);
    let sets: Vec<ReplicationSet> = files.replication.iter().filter(of_home).cloned().collect();
    let of_set = |set: &ReplicationSet| {
        let name = set.name.clone();
        set.datasets.clone().into_iter().map(move |dataset| (dataset, name.clone()))
    };
    let dir = made_dir(&files.config.data_dir.join(REPLICAS).join(home.as_str()))?;
    let incoming = made_dir(&dir.join("incoming"))?;
    let parts = StoreParts::local(dir.join("store"), home.clone(), specs.to_vec());
    let parts = StoreParts { sets: sets.iter().flat_map(of_set).collect(), ..parts };
    let store = Store::open(parts).map_err(|error| described(error, files)).with_context(shown)?;
    let background_bytes_per_s_max = files.config.storage.compaction_bytes_per_s_max;
    let parts = CopyParts { home: home.clone(), sets, store, dir, incoming, background_bytes_per_s_max };
    HomeCopy::start(parts).with_context(shown)
}

/// Rows carry whom they are about, which what they follow says: who may not have that may not have them.
fn check_parents(set: &ReplicationSet, specs: &[DatasetSpec]) -> anyhow::Result<()> {
    if set.home.is_none() {
        return Ok(());
    }
    for spec in specs.iter().filter(|spec| set.datasets.contains(&spec.dataset.name)) {
        if let Residency::Follows { dataset: parent, .. } = &spec.residency
            && !set.datasets.contains(parent)
        {
            let (set, dataset) = (&set.name, &spec.dataset.name);
            bail!(
                "replication set `{set}` has `{dataset}`, whose rows follow `{parent}`; add `{parent}` to its `datasets`"
            );
        }
    }
    Ok(())
}
