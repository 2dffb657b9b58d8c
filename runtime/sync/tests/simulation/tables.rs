//! The datasets of the simulated regions.

use std::collections::{BTreeMap, BTreeSet};

use domicile_store::DatasetSpec;
use domicile_sync::system_specs;
use domicile_types::{
    Acknowledge, Column, ColumnPolicy, ColumnType, ConflictPolicy, Dataset, DatasetName, RegionId, ReplicationSet,
    Residency, RowPolicy, SetName,
};

/// A dataset with a primary key, whose rows are written over and deleted.
pub(crate) const ITEM: &str = "item";
/// A dataset without one, whose rows only become more.
pub(crate) const EVENT: &str = "event";

/// What becomes of items that were written at two places at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) row: RowRule,
    /// Whether the column `peak` has the greatest value of all versions.
    pub(crate) peaks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowRule {
    Last,
    First,
    /// The regions in the order of their names.
    Origin,
}

impl Rule {
    pub(crate) const ALL: [Self; 5] = [
        Self { row: RowRule::Last, peaks: false },
        Self { row: RowRule::Last, peaks: true },
        Self { row: RowRule::First, peaks: false },
        Self { row: RowRule::First, peaks: true },
        Self { row: RowRule::Origin, peaks: false },
    ];

    pub(crate) fn policy(self) -> ConflictPolicy {
        let row = match self.row {
            RowRule::Last => RowPolicy::Lww,
            RowRule::First => RowPolicy::FirstWrite,
            RowRule::Origin => RowPolicy::OriginPriority((0..7).map(region).collect()),
        };
        let columns = self.peaks.then(|| ("peak".to_owned(), ColumnPolicy::Max));
        ConflictPolicy { row, columns: columns.into_iter().collect() }
    }
}

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
    specs.push(spec(ITEM, &["id", "serial", "peak"], &["id"]));
    specs.push(spec(EVENT, &["serial"], &[]));
    specs
}
