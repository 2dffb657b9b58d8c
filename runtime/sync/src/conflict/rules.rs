//! A conflict policy that fits its dataset.

use domicile_types::{ColumnPolicy, ConflictPolicy, ConflictPolicyError, Dataset, Residency, RowPolicy};

/// The conflict policy of one dataset, checked against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub(super) row: RowPolicy,
    pub(super) columns: Vec<(String, ColumnPolicy)>,
    /// Columns of the primary key.
    pub(super) key: Vec<String>,
    /// The other declared columns.
    pub(super) values: Vec<String>,
    /// Those of them that must have a value.
    pub(super) required: Vec<String>,
    /// The columns whose last changes count one by one.
    pub(super) tracked: Vec<String>,
    /// The column that says whom a row is about, or which row it follows in that.
    pub(super) subject: Option<String>,
}

impl Rules {
    /// The rules by which conflicts of a dataset are resolved.
    ///
    /// # Errors
    /// Where the dataset cannot have the policy.
    pub fn new(policy: &ConflictPolicy, dataset: &Dataset, residency: &Residency) -> Result<Self, ConflictPolicyError> {
        policy.check(dataset)?;
        policy.check_home(dataset, residency)?;
        let values = || dataset.columns.iter().filter(|column| !dataset.primary_key.contains(&column.name));
        let tracked = |name: &String| policy.row == RowPolicy::ColumnLww && !policy.columns.contains_key(name);
        Ok(Self {
            row: policy.row.clone(),
            columns: policy.columns.iter().map(|(name, policy)| (name.clone(), *policy)).collect(),
            key: dataset.primary_key.clone(),
            values: values().map(|column| column.name.clone()).collect(),
            required: values().filter(|column| !column.nullable).map(|column| column.name.clone()).collect(),
            tracked: values().map(|column| column.name.clone()).filter(tracked).collect(),
            subject: match residency {
                Residency::Reference => None,
                Residency::Column { entity, .. } => Some(entity.clone()),
                Residency::Follows { column, .. } => Some(column.clone()),
            },
        })
    }

    /// Whether versions carry notes of what their writers changed: the dataset has the column
    /// [`MERGE_COLUMN`](domicile_types::MERGE_COLUMN).
    #[must_use]
    pub fn notes_changes(&self) -> bool {
        !self.tracked.is_empty() || self.counters().next().is_some()
    }

    /// The policy of rows as a whole.
    pub(crate) fn row_policy(&self) -> &RowPolicy {
        &self.row
    }

    /// The columns whose changes are added up.
    pub(super) fn counters(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|(_, policy)| *policy == ColumnPolicy::Counter).map(|(name, _)| name.as_str())
    }
}
