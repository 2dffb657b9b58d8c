//! Datasets that live where another one's rows live: the checks between files, and the way to the root.

use std::collections::BTreeMap;

use domicile_types::{Dataset, DatasetName, Residency, nearest};

use crate::build::FollowsAt;
use crate::{Policy, PolicyError};

pub(crate) fn check(
    policies: &BTreeMap<DatasetName, Policy>,
    datasets: &BTreeMap<DatasetName, (Dataset, bool)>,
    places: &BTreeMap<DatasetName, FollowsAt>,
) -> Result<(), PolicyError> {
    for (dataset, at) in places {
        let Some((parent, column)) = policies.get(dataset).and_then(parent) else { continue };
        check_parent(datasets, dataset, parent, column, at)?;
    }
    for (dataset, at) in places {
        // A dataset may also only lead into a circle; its members are the ones to change.
        if let Err(datasets) = root(policies, dataset)
            && datasets.contains(dataset)
        {
            return Err(PolicyError::FollowsCircle { at: at.dataset.clone(), datasets });
        }
    }
    Ok(())
}

fn check_parent(
    datasets: &BTreeMap<DatasetName, (Dataset, bool)>,
    dataset: &DatasetName,
    parent: &DatasetName,
    column: &str,
    at: &FollowsAt,
) -> Result<(), PolicyError> {
    let Some((schema, reference)) = datasets.get(parent) else {
        let nearest = nearest(parent.as_str(), datasets.keys().map(DatasetName::as_str)).map(str::to_owned);
        return Err(PolicyError::UnknownDataset { at: at.dataset.clone(), dataset: parent.clone(), nearest });
    };
    if *reference {
        return Err(PolicyError::FollowsReference { at: at.dataset.clone(), dataset: parent.clone() });
    }
    let [key] = schema.primary_key.as_slice() else {
        let columns = schema.primary_key.len();
        return Err(PolicyError::FollowsKey { at: at.dataset.clone(), dataset: parent.clone(), columns });
    };
    let kind = |schema: &Dataset, column: &str| schema.column(column).ok().map(|column| column.kind);
    let own = datasets.get(dataset).and_then(|(schema, _)| kind(schema, column));
    if own != kind(schema, key) {
        return Err(PolicyError::FollowsType {
            at: at.column.clone(),
            column: column.to_owned(),
            dataset: parent.clone(),
            key: key.clone(),
        });
    }
    Ok(())
}

fn parent(policy: &Policy) -> Option<(&DatasetName, &str)> {
    match &policy.residency {
        Residency::Follows { dataset, column } => Some((dataset, column)),
        Residency::Column { .. } | Residency::Reference => None,
    }
}

/// The policy at the end of the chain that starts at `dataset`; the datasets of the circle where it has no end.
pub(crate) fn root<'a>(
    policies: &'a BTreeMap<DatasetName, Policy>,
    dataset: &DatasetName,
) -> Result<Option<&'a Policy>, Vec<DatasetName>> {
    let mut path: Vec<&DatasetName> = Vec::new();
    let mut current = policies.get(dataset);
    while let Some(policy) = current {
        if let Some(start) = path.iter().position(|seen| **seen == policy.dataset) {
            return Err(path[start..].iter().map(|&dataset| dataset.clone()).collect());
        }
        path.push(&policy.dataset);
        match parent(policy) {
            Some((next, _)) => current = policies.get(next),
            None => return Ok(Some(policy)),
        }
    }
    Ok(None)
}
