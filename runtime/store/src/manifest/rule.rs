//! The residency rule that rows were checked under, as far as a change of it would make them wrong.

use std::collections::BTreeSet;

use domicile_types::{KeyValue, RegionId, Residency};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::catalog::Entry;

/// A residency rule and, where a column says the home, the values that rows have in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Rule {
    Reference,
    Column { column: String, entity: String, values: BTreeSet<Value> },
    Follows { dataset: String, column: String },
}

/// A value of a residency column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Value {
    Integer(i64),
    Text(String),
}

impl Value {
    pub(crate) fn of(value: &KeyValue) -> Self {
        match value {
            KeyValue::Integer(value) => Self::Integer(*value),
            KeyValue::Text(value) => Self::Text(value.clone()),
        }
    }

    fn key(&self) -> KeyValue {
        match self {
            Self::Integer(value) => KeyValue::Integer(*value),
            Self::Text(value) => KeyValue::Text(value.clone()),
        }
    }
}

impl Rule {
    /// The present rule of a dataset, with rows that have these values.
    pub(crate) fn of(entry: &Entry, held: impl IntoIterator<Item = Value>) -> Self {
        match &entry.spec.residency {
            Residency::Reference => Self::Reference,
            Residency::Column { column, entity, .. } => {
                Self::Column { column: column.clone(), entity: entity.clone(), values: held.into_iter().collect() }
            }
            Residency::Follows { dataset, column } => {
                Self::Follows { dataset: dataset.to_string(), column: column.clone() }
            }
        }
    }

    fn without_values(&self) -> Self {
        match self {
            Self::Column { column, entity, .. } => {
                Self::Column { column: column.clone(), entity: entity.clone(), values: BTreeSet::new() }
            }
            other => other.clone(),
        }
    }

    pub(crate) fn same_but_values(&self, other: &Self) -> bool {
        self.without_values() == other.without_values()
    }

    /// Takes the values of `other`, which is the same rule.
    pub(crate) fn extend(&mut self, other: Self) {
        if let (Self::Column { values, .. }, Self::Column { values: more, .. }) = (self, other) {
            values.extend(more);
        }
    }

    /// The values of the residency column.
    pub(crate) fn into_values(self) -> BTreeSet<Value> {
        match self {
            Self::Column { values, .. } => values,
            _ => BTreeSet::new(),
        }
    }

    /// Checks that rows stored under this rule are where the present rule wants them.
    pub(crate) fn check(&self, entry: &Entry, region: &RegionId) -> Result<(), StoreError> {
        let dataset = entry.spec.dataset.name.clone();
        if !self.same_but_values(&Self::of(entry, [])) {
            return Err(StoreError::ResidencyChanged { dataset });
        }
        let (Self::Column { column, values, .. }, Residency::Column { homes, .. }) = (self, &entry.spec.residency)
        else {
            return Ok(());
        };
        for value in values.iter().map(Value::key) {
            let home = homes.get(&value);
            if home != Some(region) {
                let (column, value) = (column.clone(), value.to_string());
                return Err(StoreError::RowsOutsideHome { dataset, column, value, home: home.cloned() });
            }
        }
        Ok(())
    }
}
