//! The datasets of the simulated regions.

use std::collections::{BTreeMap, BTreeSet};

use domicile_store::DatasetSpec;
use domicile_sync::system_specs;
use domicile_types::{
    Acknowledge, Column, ColumnType, Dataset, DatasetName, RegionId, ReplicationSet, Residency, SetName,
};

/// A dataset with a primary key, whose rows are written over and deleted.
pub(crate) const ITEM: &str = "item";
/// A dataset without one, whose rows only become more.
pub(crate) const EVENT: &str = "event";

/// The replication set of both.
pub(crate) fn set_name() -> SetName {
    "catalog".parse().unwrap()
}

pub(crate) fn dataset(name: &str) -> DatasetName {
    name.parse().unwrap()
}

pub(crate) fn region(index: usize) -> RegionId {
    ["ap-south", "eu-central", "eu-west", "sa-east", "uk-south", "us-east", "us-west"][index].parse().unwrap()
}

pub(crate) fn set(regions: usize) -> ReplicationSet {
    ReplicationSet {
        name: set_name(),
        regions: (0..regions).map(region).collect(),
        datasets: [ITEM, EVENT].map(dataset).into_iter().collect::<BTreeSet<_>>(),
        acknowledge: Acknowledge::Local,
    }
}

pub(crate) fn sets() -> BTreeMap<DatasetName, SetName> {
    [ITEM, EVENT].map(|name| (dataset(name), set_name())).into_iter().collect()
}

pub(crate) fn specs() -> Vec<DatasetSpec> {
    let spec = |name: &str, columns: &[&str], key: &[&str]| {
        let column = |name: &&str| Column { name: (*name).to_owned(), kind: ColumnType::BigInt, nullable: false };
        let key = key.iter().map(|name| (*name).to_owned()).collect();
        let dataset = Dataset::new(dataset(name), columns.iter().map(column).collect(), key).unwrap();
        DatasetSpec { dataset, residency: Residency::Reference }
    };
    let mut specs = system_specs().unwrap();
    specs.push(spec(ITEM, &["id", "serial"], &["id"]));
    specs.push(spec(EVENT, &["serial"], &[]));
    specs
}
