//! What becomes of concurrent versions of a row, and whether a dataset can have it so.

use std::collections::BTreeMap;
use std::fmt;

use crate::{ColumnType, Dataset, DatasetError, DatasetName, Digest, PluginName, RegionId, Residency};

/// Hidden column: what the writers of a row changed, for policies that combine their changes. A JSON text that belongs
/// to the conflict resolution of sync.
pub const MERGE_COLUMN: &str = "_merge";

/// Which of several concurrent versions of a row counts. Versions are concurrent where neither writer knew of the
/// other's; a version that was written over another one always counts instead of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RowPolicy {
    /// The one that was written last, by the hybrid logical clocks.
    #[default]
    Lww,
    /// The one that was written first.
    FirstWrite,
    /// The one of the region that comes first in the list; of regions that are not listed, the last written.
    OriginPriority(Vec<RegionId>),
    /// Each column's last change counts, whichever version it came with.
    ColumnLww,
    /// What a plugin of the world `merge` makes of them. The same code everywhere, whatever version of it is active.
    Wasm {
        /// The plugin.
        plugin: PluginName,
        /// Its code.
        sha256: Digest,
    },
    /// The last written, until somebody decides: all versions are kept and listed.
    Manual,
}

/// What one column has where versions of its row are concurrent, whatever the policy of the row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnPolicy {
    /// The greatest value: of texts, the last by code points; true before false; NaN before all numbers.
    Max,
    /// The least value, in the same order. Like the greatest, it is never a missing one where there is another.
    Min,
    /// Every region's changes added up. A value that is missing counts as 0, and so does the value before a row's first
    /// version. What no longer fits into the column's type is its greatest or least value.
    Counter,
    /// All members of the sets that the texts list, as JSON arrays. Any other text is a set of which it is the member.
    SetUnion,
}

/// What becomes of concurrent versions of a dataset's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConflictPolicy {
    /// For rows as a whole.
    pub row: RowPolicy,
    /// For single columns, by name.
    pub columns: BTreeMap<String, ColumnPolicy>,
}

/// Why a dataset cannot have a conflict policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConflictPolicyError {
    /// Rows that nothing identifies.
    #[error(
        "dataset `{dataset}` has no primary key, so no two versions are of one row; give it one, or remove its conflict \
         policy"
    )]
    NoKey {
        /// The dataset.
        dataset: DatasetName,
    },
    /// A policy of a column that the dataset does not have.
    #[error(transparent)]
    Column(#[from] DatasetError),
    /// A policy of a column that all versions of a row agree on.
    #[error(
        "column `{column}` of dataset `{dataset}` belongs to the primary key, which all versions of a row have in common; \
         remove its conflict policy"
    )]
    KeyColumn {
        /// The dataset.
        dataset: DatasetName,
        /// The column.
        column: String,
    },
    /// A policy of a column whose values it does not understand.
    #[error(
        "column `{column}` of dataset `{dataset}` cannot have the conflict policy `{policy}`, which needs {needed}"
    )]
    ColumnType {
        /// The dataset.
        dataset: DatasetName,
        /// The column.
        column: String,
        /// The policy.
        policy: ColumnPolicy,
        /// The types that it is for.
        needed: &'static str,
    },
    /// A policy that makes up values which say where a row lives.
    #[error(
        "column `{column}` of dataset `{dataset}` says where a row lives or whom it is about; the conflict policy \
         `{policy}` could give it a value that nobody wrote, so take another one"
    )]
    HomeColumn {
        /// The dataset.
        dataset: DatasetName,
        /// The column.
        column: String,
        /// The policy.
        policy: ColumnPolicy,
    },
    /// A priority of no region.
    #[error(
        "dataset `{dataset}` has the conflict policy `origin_priority` and names no regions; list them, the first first"
    )]
    NoOrigins {
        /// The dataset.
        dataset: DatasetName,
    },
    /// A region that comes twice in the order.
    #[error("the conflict policy of dataset `{dataset}` lists region `{region}` twice; name each region once")]
    RepeatedOrigin {
        /// The dataset.
        dataset: DatasetName,
        /// The region.
        region: RegionId,
    },
}

impl ConflictPolicy {
    /// Whether versions of rows say in [`MERGE_COLUMN`] what their writers changed.
    #[must_use]
    pub fn notes_changes(&self) -> bool {
        self.row == RowPolicy::ColumnLww || self.columns.values().any(|policy| *policy == ColumnPolicy::Counter)
    }

    /// Whether the rows of `dataset` can have this policy.
    ///
    /// # Errors
    /// Where they cannot, with the first reason why.
    pub fn check(&self, dataset: &Dataset) -> Result<(), ConflictPolicyError> {
        let name = || dataset.name.clone();
        if dataset.primary_key.is_empty() && *self != Self::default() {
            return Err(ConflictPolicyError::NoKey { dataset: name() });
        }
        if let RowPolicy::OriginPriority(regions) = &self.row {
            if regions.is_empty() {
                return Err(ConflictPolicyError::NoOrigins { dataset: name() });
            }
            let repeated = regions.iter().enumerate().find(|(index, region)| regions[..*index].contains(region));
            if let Some((_, region)) = repeated {
                return Err(ConflictPolicyError::RepeatedOrigin { dataset: name(), region: region.clone() });
            }
        }
        self.columns.iter().try_for_each(|(column, policy)| policy.check(dataset, column))
    }

    /// Whether it leaves alone what says where the rows of `dataset` live and whom they are about.
    ///
    /// # Errors
    /// Where it could make up a home or an entity.
    pub fn check_home(&self, dataset: &Dataset, residency: &Residency) -> Result<(), ConflictPolicyError> {
        let home: &[&String] = match residency {
            Residency::Reference => &[],
            Residency::Column { column, entity, .. } => &[column, entity],
            Residency::Follows { column, .. } => &[column],
        };
        let made_up = |(column, policy): &(&String, &ColumnPolicy)| home.contains(column) && policy.makes_values();
        match self.columns.iter().find(made_up) {
            None => Ok(()),
            Some((column, policy)) => Err(ConflictPolicyError::HomeColumn {
                dataset: dataset.name.clone(),
                column: column.clone(),
                policy: *policy,
            }),
        }
    }
}

impl ColumnPolicy {
    /// Whether the outcome may be a value that no version has.
    fn makes_values(self) -> bool {
        matches!(self, Self::Counter | Self::SetUnion)
    }

    fn check(self, dataset: &Dataset, column: &str) -> Result<(), ConflictPolicyError> {
        let kind = dataset.column(column)?.kind;
        if dataset.primary_key.iter().any(|key| key == column) {
            return Err(ConflictPolicyError::KeyColumn { dataset: dataset.name.clone(), column: column.to_owned() });
        }
        let numeric = !matches!(kind, ColumnType::Text | ColumnType::Date | ColumnType::Boolean);
        let (fits, needed) = match self {
            Self::Max | Self::Min => (true, "a value"),
            Self::Counter => (numeric, "a bigint, integer, decimal or double"),
            Self::SetUnion => (kind == ColumnType::Text, "a text"),
        };
        if fits {
            return Ok(());
        }
        let (dataset, column) = (dataset.name.clone(), column.to_owned());
        Err(ConflictPolicyError::ColumnType { dataset, column, policy: self, needed })
    }
}

impl fmt::Display for RowPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lww => f.write_str("lww"),
            Self::FirstWrite => f.write_str("first_write"),
            Self::OriginPriority(_) => f.write_str("origin_priority"),
            Self::ColumnLww => f.write_str("column_lww"),
            Self::Wasm { plugin, .. } => write!(f, "wasm:{plugin}"),
            Self::Manual => f.write_str("manual"),
        }
    }
}

impl fmt::Display for ColumnPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Max => "max",
            Self::Min => "min",
            Self::Counter => "counter",
            Self::SetUnion => "set_union",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    const COLUMNS: [(&str, ColumnType); 8] = [
        ("id", ColumnType::BigInt),
        ("stock", ColumnType::BigInt),
        ("ordered", ColumnType::Integer),
        ("price", ColumnType::Decimal { precision: 15, scale: 2 }),
        ("weight", ColumnType::Double),
        ("tags", ColumnType::Text),
        ("since", ColumnType::Date),
        ("sold", ColumnType::Boolean),
    ];

    fn dataset(key: &[&str]) -> Dataset {
        let column = |(name, kind): (&str, ColumnType)| Column { name: name.to_owned(), kind, nullable: false };
        let columns = COLUMNS.map(column).to_vec();
        let key = key.iter().map(|name| (*name).to_owned()).collect();
        Dataset::new("item".parse().expect("a name"), columns, key).expect("a dataset")
    }

    fn columns(policies: &[(&str, ColumnPolicy)]) -> ConflictPolicy {
        let columns = policies.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect();
        ConflictPolicy { row: RowPolicy::Lww, columns }
    }

    #[track_caller]
    fn check(policy: &ConflictPolicy, expect: Result<(), &str>) {
        let got = policy.check(&dataset(&["id"])).map_err(|error| error.to_string());
        assert_eq!(got, expect.map_err(str::to_owned));
    }

    #[test]
    fn policies_are_for_columns_of_their_types() {
        for (name, kind) in COLUMNS.into_iter().skip(1) {
            check(&columns(&[(name, ColumnPolicy::Max)]), Ok(()));
            check(&columns(&[(name, ColumnPolicy::Min)]), Ok(()));
            let numeric = ["stock", "ordered", "price", "weight"].contains(&name);
            let refused = format!(
                "column `{name}` of dataset `item` cannot have the conflict policy `counter`, which needs a bigint, \
                 integer, decimal or double"
            );
            check(&columns(&[(name, ColumnPolicy::Counter)]), if numeric { Ok(()) } else { Err(&refused) });
            let refused = format!(
                "column `{name}` of dataset `item` cannot have the conflict policy `set_union`, which needs a text"
            );
            let text = kind == ColumnType::Text;
            check(&columns(&[(name, ColumnPolicy::SetUnion)]), if text { Ok(()) } else { Err(&refused) });
        }
    }

    #[test]
    fn policies_are_for_columns_that_exist_and_may_differ() {
        check(
            &columns(&[("stok", ColumnPolicy::Max)]),
            Err("dataset `item` has no column `stok`; did you mean `stock`?"),
        );
        check(
            &columns(&[("id", ColumnPolicy::Max)]),
            Err(
                "column `id` of dataset `item` belongs to the primary key, which all versions of a row have in common; \
                 remove its conflict policy",
            ),
        );
    }

    #[test]
    fn without_a_key_there_are_no_conflicts() {
        assert_eq!(ConflictPolicy::default().check(&dataset(&[])), Ok(()));
        for policy in [
            ConflictPolicy { row: RowPolicy::FirstWrite, ..ConflictPolicy::default() },
            columns(&[("stock", ColumnPolicy::Max)]),
        ] {
            let refused = policy.check(&dataset(&[])).map_err(|error| error.to_string());
            assert!(refused.is_err_and(|text| text.starts_with("dataset `item` has no primary key")));
        }
    }

    #[test]
    fn a_priority_names_regions_once() {
        let of = |regions: &[&str]| {
            let regions = regions.iter().filter_map(|region| region.parse().ok()).collect();
            ConflictPolicy { row: RowPolicy::OriginPriority(regions), ..ConflictPolicy::default() }
        };
        check(&of(&["eu", "us"]), Ok(()));
        check(
            &of(&[]),
            Err(
                "dataset `item` has the conflict policy `origin_priority` and names no regions; list them, the first first",
            ),
        );
        check(
            &of(&["eu", "us", "eu"]),
            Err("the conflict policy of dataset `item` lists region `eu` twice; name each region once"),
        );
    }

    #[test]
    fn no_home_is_made_up() {
        let residency =
            Residency::Column { column: "stock".to_owned(), entity: "tags".to_owned(), homes: BTreeMap::new() };
        let check = |column: &str, policy, allowed| {
            let got = columns(&[(column, policy)]).check_home(&dataset(&["id"]), &residency);
            assert_eq!(got.is_ok(), allowed, "{column}: {policy}");
        };
        check("stock", ColumnPolicy::Counter, false);
        check("tags", ColumnPolicy::SetUnion, false);
        check("stock", ColumnPolicy::Max, true);
        check("price", ColumnPolicy::Counter, true);
        let follows = Residency::Follows { dataset: "a".parse().expect("a name"), column: "ordered".to_owned() };
        let policy = columns(&[("ordered", ColumnPolicy::Counter)]);
        assert!(policy.check_home(&dataset(&["id"]), &follows).is_err());
        assert!(policy.check_home(&dataset(&["id"]), &Residency::Reference).is_ok());
    }
}
