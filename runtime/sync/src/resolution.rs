//! Conflicts that a person resolves.

use domicile_store::{DatasetSpec, Operation};
use serde_json::{Map, Value};

use crate::conflict::OP_TOMBSTONE;
use crate::{ListedConflict, SyncError};

/// The hidden column that tells rows from tombstones.
const OPERATION_COLUMN: &str = "_op";

/// What to write so that a version of a conflict counts again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Whether the version is a row or a deletion.
    pub operation: Operation,
    /// The row, or its key, as one line of NDJSON.
    pub line: String,
}

impl Resolution {
    /// What makes `version`, as the conflict lists it, count. Written here, it follows everything that counts here, so it
    /// is what counts everywhere, but for regions that write the row at the same time.
    ///
    /// # Errors
    /// Where the conflict has no such version.
    pub fn of(conflict: &ListedConflict, version: &str, spec: &DatasetSpec) -> Result<Self, SyncError> {
        let missing = || SyncError::NoVersion {
            version: version.to_owned(),
            key: conflict.key.clone(),
            versions: conflict.versions.join(", "),
        };
        let place = conflict.versions.iter().position(|known| known == version).ok_or_else(missing)?;
        let mut rows: Vec<Map<String, Value>> = serde_json::from_str(&conflict.rows)?;
        if place >= rows.len() {
            return Err(missing());
        }
        let mut row = rows.swap_remove(place);
        let is_tombstone = row.get(OPERATION_COLUMN).and_then(Value::as_u64) == Some(u64::from(OP_TOMBSTONE));
        let dataset = &spec.dataset;
        let (operation, wanted): (_, Vec<&String>) = if is_tombstone {
            (Operation::Delete, dataset.primary_key.iter().collect())
        } else {
            (Operation::Upsert, dataset.columns.iter().map(|column| &column.name).collect())
        };
        row.retain(|name, _| wanted.contains(&name));
        Ok(Self { operation, line: format!("{}\n", Value::Object(row)) })
    }
}
