//! The rows that say which versions met, and which stand beside each other.

use std::io::Cursor;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::json::writer::{JsonArray, WriterBuilder};
use domicile_store::{Batch, Format, Operation, Prepared, Source, Store, StoreReader};
use domicile_types::{DatasetName, Dot, MERGE_COLUMN, SetName};
use serde::Serialize;
use serde_json::{Value, json};

use crate::SyncError;
use crate::siblings::{self, Standing, dots_text};
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

/// Rows as a JSON list of objects, without what they say of their changes.
pub(crate) fn rows_text(rows: &RecordBatch) -> Result<String, SyncError> {
    let fields = rows.schema_ref().fields();
    let shown: Vec<usize> = (0..fields.len()).filter(|place| fields[*place].name() != MERGE_COLUMN).collect();
    let rows = &rows.project(&shown)?;
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

/// One conflict, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedConflict {
    /// The dataset.
    pub dataset: String,
    /// The key of the row: a JSON list of the key columns' values as texts.
    pub key: String,
    /// The versions that met, in the order that all regions agree on.
    pub versions: Vec<String>,
    /// Their rows, in that order, as JSON.
    pub rows: String,
    /// The version that counts, or `several`.
    pub winner: String,
    /// The conflict policy of the row.
    pub policy: String,
    /// Why it is so.
    pub reason: String,
    /// When this region met the last of them, in Unix milliseconds.
    pub detected_ms: i64,
}

/// All conflicts that a region has met, by dataset and key.
///
/// # Errors
/// Where they cannot be read, or take more than `bytes_max`.
pub fn conflicts(reader: &StoreReader, bytes_max: u64) -> Result<Vec<ListedConflict>, SyncError> {
    let rows = reader.rows(&CONFLICTS.parse().map_err(SyncError::Name)?, bytes_max)?;
    let text = |name: &str, row: usize| {
        let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.map_or_else(String::new, |column| column.value(row).to_owned())
    };
    let detected = rows.column_by_name("detected_ms").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let listed = |row| {
        Ok(ListedConflict {
            dataset: text("dataset", row),
            key: text("key", row),
            versions: siblings::dots(&text("versions", row))?.iter().map(Dot::to_string).collect(),
            rows: text("rows", row),
            winner: text("winner", row),
            policy: text("policy", row),
            reason: text("reason", row),
            detected_ms: detected.map_or(0, |detected| detected.value(row)),
        })
    };
    (0..rows.num_rows()).map(listed).collect()
}
