//! The rows that say which versions met, and which stand beside each other.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::json::writer::{JsonArray, WriterBuilder};
use domicile_store::{Batch, Format, Operation, Prepared, Source, Store};
use domicile_types::{DatasetName, Dot, SetName};
use serde_json::{Value, json};

use crate::SyncError;
use crate::siblings::{Standing, dots_text};
use crate::system::{CONFLICTS, SIBLINGS};

/// Versions of one row that met.
#[derive(Debug, Clone)]
pub(crate) struct Conflict {
    pub(crate) set: SetName,
    pub(crate) dataset: DatasetName,
    pub(crate) key: String,
    /// In the order that all regions agree on.
    pub(crate) versions: Vec<Dot>,
    /// Their rows, in that order, as JSON.
    pub(crate) rows: String,
    /// The version that counts.
    pub(crate) winner: String,
    pub(crate) policy: String,
    pub(crate) reason: String,
}

/// Rows as a JSON list of objects.
pub(crate) fn rows_text(rows: &RecordBatch) -> Result<String, SyncError> {
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(&mut text);
    writer.write(rows)?;
    writer.finish()?;
    drop(writer);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The batches that write all this down.
pub(crate) fn batches(
    store: &Store,
    conflicts: &[Conflict],
    siblings: &[Standing],
    now_ms: u64,
) -> Result<Vec<Prepared>, SyncError> {
    let Some(first) = conflicts.first() else { return Ok(Vec::new()) };
    let conflict = |conflict: &Conflict| {
        Ok(json!({
            "dataset": conflict.dataset.as_str(),
            "key": conflict.key,
            "versions": dots_text(&conflict.versions)?,
            "replication_set": conflict.set.as_str(),
            "rows": conflict.rows,
            "winner": conflict.winner,
            "policy": conflict.policy,
            "reason": conflict.reason,
            "detected_ms": now_ms,
        }))
    };
    let dataset = first.dataset.as_str();
    let standing = |Standing { key, versions, before }: &Standing| {
        let (versions, before) = (dots_text(versions)?, dots_text(before)?);
        Ok(json!({ "dataset": dataset, "key": key, "versions": versions, "before": before }))
    };
    let conflicts = conflicts.iter().map(conflict).collect::<Result<Vec<_>, SyncError>>()?;
    let siblings = siblings.iter().map(standing).collect::<Result<Vec<_>, SyncError>>()?;
    Ok(vec![
        prepared(store, CONFLICTS, Operation::Upsert, &conflicts, now_ms)?,
        prepared(store, SIBLINGS, Operation::Upsert, &siblings, now_ms)?,
    ])
}

fn prepared(
    store: &Store,
    dataset: &str,
    operation: Operation,
    rows: &[Value],
    now_ms: u64,
) -> Result<Prepared, SyncError> {
    let dataset = dataset.parse().map_err(SyncError::Name)?;
    let batch = Batch { dataset, operation, format: Format::Ndjson, idempotency_key: None };
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let source = Source::Stream(Box::new(Cursor::new(text.into_bytes())));
    Ok(store.preparer().prepare(batch, source, now_ms)?.into_storable()?)
}
