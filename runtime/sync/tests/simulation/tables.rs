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
/// The column that items get in the end: the serial once more.
pub(crate) const ADDED: &str = "again";
/// A dataset without one, whose rows only become more.
pub(crate) const EVENT: &str = "event";

/// A dataset with a column of which every change counts.
pub(crate) const STOCK: &str = "stock";
/// A dataset of whose columns each has its last change.
pub(crate) const CARD: &str = "card";

/// A dataset that is in no set: every region has rows of its own, and nobody else's.
pub(crate) const PERSON: &str = "person";

const REPLICATED: [&str; 4] = [ITEM, EVENT, STOCK, CARD];

/// The columns of datasets with a primary key, which is the first.
pub(crate) const COLUMNS: [(&str, [&str; 3]); 3] =
    [(ITEM, ["id", "serial", "peak"]), (STOCK, ["id", "serial", "count"]), (CARD, ["id", "front", "back"])];

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

    /// What becomes of rows of a dataset.
    pub(crate) fn policy_of(self, name: &str) -> ConflictPolicy {
        match name {
            ITEM => {
                let columns = self.peaks.then(|| ("peak".to_owned(), ColumnPolicy::Max));
                ConflictPolicy { row: self.row_policy(), columns: columns.into_iter().collect() }
            }
            STOCK => {
                let columns = [("count".to_owned(), ColumnPolicy::Counter)].into();
                ConflictPolicy { row: self.row_policy(), columns }
            }
            CARD => ConflictPolicy { row: RowPolicy::ColumnLww, ..ConflictPolicy::default() },
            _ => ConflictPolicy::default(),
        }
    }

    fn row_policy(self) -> RowPolicy {
        match self.row {
            RowRule::Last => RowPolicy::Lww,
            RowRule::First => RowPolicy::FirstWrite,
            RowRule::Origin => RowPolicy::OriginPriority((0..7).map(region).collect()),
        }
    }
}

/// The replication set of all.
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
        datasets: REPLICATED.map(dataset).into_iter().collect::<BTreeSet<_>>(),
        home: None,
        acknowledge: Acknowledge::Local,
    }
}

pub(crate) fn sets() -> BTreeMap<DatasetName, SetName> {
    REPLICATED.map(|name| (dataset(name), set_name())).into_iter().collect()
}

/// The datasets as they are described, `wide` once items have one more column.
pub(crate) fn specs(wide: bool) -> Vec<DatasetSpec> {
    let spec = |name: &str, columns: &[&str], key: &[&str]| {
        let column = |name: &&str| Column { name: (*name).to_owned(), kind: ColumnType::BigInt, nullable: false };
        let key = key.iter().map(|name| (*name).to_owned()).collect();
        let dataset = Dataset::new(dataset(name), columns.iter().map(column).collect(), key).unwrap();
        DatasetSpec { dataset, residency: Residency::Reference }
    };
    let mut specs = system_specs().unwrap();
    specs.extend(COLUMNS.iter().map(|(name, columns)| spec(name, columns, &["id"])));
    if wide {
        let items = specs.iter_mut().find(|spec| spec.dataset.name.as_str() == ITEM).unwrap();
        items.dataset.columns.push(Column { name: ADDED.to_owned(), kind: ColumnType::BigInt, nullable: true });
    }
    specs.push(spec(EVENT, &["serial"], &[]));
    specs.push(spec(PERSON, &["serial", "home"], &["serial"]));
    specs
}
