//! Plugins that resolve conflicts, as this crate sees them.

use std::fmt;

use arrow::array::{Array, ArrayRef, RecordBatch};

use super::{Rules, Siblings};

/// Makes one version of several.
///
/// What it answers must depend on the versions alone, and its failures too: a plugin that traps on the same versions does
/// so in every region. Whoever cannot ask the plugin just now (it has not come here yet, there is no memory or no time)
/// must say so instead: the versions wait then, and the plugin is asked again.
pub trait MergePlugin: fmt::Debug + Send + Sync {
    /// What the row is. There are at least two versions, in the order in which they were written. At least one is a
    /// row; others may be tombstones, which have values in the key only. Where the plugin fails, the version counts that
    /// was written last.
    ///
    /// # Errors
    /// Where the plugin cannot be asked here and now.
    fn merge(&self, siblings: &Siblings) -> Result<Result<Merged, MergeFailure>, Unavailable>;
}

/// What a plugin makes of several versions.
#[derive(Debug, Clone, PartialEq)]
pub enum Merged {
    /// One row with all declared columns; further columns are ignored.
    Row(RecordBatch),
    /// No row.
    Tombstone,
}

/// Why a plugin did not make a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct MergeFailure {
    /// What went wrong.
    pub problem: String,
}

/// Why a plugin could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Unavailable {
    /// What is lacking, and what to do about it.
    pub problem: String,
}

impl MergeFailure {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into() }
    }
}

/// For datasets whose policy asks no plugin.
#[derive(Debug, Clone, Copy)]
pub struct NoPlugin;

impl MergePlugin for NoPlugin {
    fn merge(&self, _: &Siblings) -> Result<Result<Merged, MergeFailure>, Unavailable> {
        Err(Unavailable { problem: "there is no such plugin here; load it".to_owned() })
    }
}

/// The values of the declared columns but for the key, by the columns' places in the versions.
pub(super) fn values(
    rules: &Rules,
    siblings: &Siblings,
    made: &RecordBatch,
) -> Result<Vec<(usize, ArrayRef)>, MergeFailure> {
    if made.num_rows() != 1 {
        return Err(MergeFailure::new(format!("it made {} rows, and is to make one", made.num_rows())));
    }
    let versions = siblings.rows();
    let place = |name: &String| versions.schema_ref().index_of(name).ok();
    for (name, place) in rules.key.iter().filter_map(|name| Some((name, place(name)?))) {
        if value(made, versions, name, place)?.as_ref() != versions.column(place).slice(0, 1).as_ref() {
            return Err(MergeFailure::new(format!("it changed `{name}`, which belongs to the key")));
        }
    }
    let mut values = Vec::new();
    for (name, place) in rules.values.iter().filter_map(|name| Some((name, place(name)?))) {
        let value = value(made, versions, name, place)?;
        if value.is_null(0) && rules.required.contains(name) {
            return Err(MergeFailure::new(format!("it left `{name}` without a value, which must have one")));
        }
        if rules.subject.as_ref() == Some(name) && !is_written(siblings, place, &value) {
            return Err(MergeFailure::new(format!("it gave `{name}` a value that no version has")));
        }
        values.push((place, value));
    }
    Ok(values)
}

fn value(made: &RecordBatch, versions: &RecordBatch, name: &str, place: usize) -> Result<ArrayRef, MergeFailure> {
    let value = made.column_by_name(name);
    let value = value.ok_or_else(|| MergeFailure::new(format!("it left out column `{name}`")))?;
    if value.data_type() != versions.column(place).data_type() {
        return Err(MergeFailure::new(format!("it made a {} of column `{name}`", value.data_type())));
    }
    Ok(value.slice(0, 1))
}

fn is_written(siblings: &Siblings, place: usize, value: &ArrayRef) -> bool {
    let written = siblings.rows().column(place);
    (0..siblings.count())
        .filter(|index| !siblings.version(*index).is_tombstone())
        .any(|index| written.slice(index, 1).as_ref() == value.as_ref())
}
