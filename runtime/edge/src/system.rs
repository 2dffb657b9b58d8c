//! What a region knows of itself, as tables in SQL.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use domicile_query::{QueryError, SystemTable};
use domicile_store::StoreReader;
use domicile_sync::{ListedConflict, SyncError, conflicts};
use domicile_types::limits::CONFLICTS_BYTES_MAX;

static CONFLICTS_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let mut fields: Vec<Field> =
        ["dataset", "key", "versions", "rows", "winner", "policy", "reason"].map(text).into_iter().collect();
    fields.push(Field::new("detected_ms", DataType::Int64, false));
    Arc::new(Schema::new(fields))
});

/// The tables of a region about itself.
pub fn system_tables(reader: StoreReader) -> Vec<Arc<dyn SystemTable>> {
    vec![Arc::new(Conflicts { reader })]
}

/// Rows that were written at two places at once: as `GET /v1/sync/conflicts` lists them, the versions as a JSON list.
#[derive(Debug)]
struct Conflicts {
    reader: StoreReader,
}

impl SystemTable for Conflicts {
    fn name(&self) -> &'static str {
        "conflicts"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&CONFLICTS_SCHEMA)
    }

    fn rows(&self) -> Result<RecordBatch, QueryError> {
        conflict_rows(&listed(&self.reader)?)
    }
}

/// The conflicts that a region has met. Blocks.
pub(crate) fn listed(reader: &StoreReader) -> Result<Vec<ListedConflict>, QueryError> {
    let is_kept = reader.specs().iter().any(|spec| spec.dataset.name.as_str() == domicile_sync::CONFLICTS);
    if !is_kept {
        return Ok(Vec::new());
    }
    conflicts(reader, CONFLICTS_BYTES_MAX).map_err(|error| match error {
        SyncError::Store(error) => QueryError::from(error),
        other => QueryError::Execution(other.to_string()),
    })
}

fn conflict_rows(listed: &[ListedConflict]) -> Result<RecordBatch, QueryError> {
    let text = |of: fn(&ListedConflict) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(listed.iter().map(of)))
    };
    let versions = listed.iter().map(|one| serde_json::Value::from(one.versions.clone()).to_string());
    let columns: Vec<ArrayRef> = vec![
        text(|one| &one.dataset),
        text(|one| &one.key),
        Arc::new(StringArray::from_iter_values(versions)),
        text(|one| &one.rows),
        text(|one| &one.winner),
        text(|one| &one.policy),
        text(|one| &one.reason),
        Arc::new(Int64Array::from_iter_values(listed.iter().map(|one| one.detected_ms))),
    ];
    RecordBatch::try_new(Arc::clone(&CONFLICTS_SCHEMA), columns)
        .map_err(|error| QueryError::Execution(error.to_string()))
}
