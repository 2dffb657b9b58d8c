//! What leaves of one question: rows of now, or those that were given before.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use domicile_policy::{Difference, Needs, Released};

use super::record::Group;
use super::{Asked, Given};
use crate::guard::Judged;

/// Where a row that leaves comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Now(usize),
    /// The same, of the very rows that an earlier answer was of.
    Same(usize),
    /// The row of an earlier answer.
    Before(usize),
}

/// One release in the making.
pub(super) struct Release<'r> {
    pub(super) asked: &'r Asked,
    pub(super) judged: &'r Judged,
    /// The keys of the judged groups.
    pub(super) keys: Vec<Vec<u8>>,
    /// The latest answer to the same question.
    pub(super) before: Option<&'r Given>,
}

impl Release<'_> {
    /// For each group that leaves, the row of now, or that of the earlier answer where too few entities have changed.
    pub(super) fn sources(&self) -> Vec<Source> {
        (0..self.judged.open.len()).filter_map(|group| self.source(group)).collect()
    }

    fn source(&self, group: usize) -> Option<Source> {
        let now = self.judged.open[group].then_some(Source::Now(group));
        let Some(before) = self.before.filter(|_| Asked::compares(&self.asked.verdict)) else { return now };
        let Some(row) = before.row_of.get(&self.keys[group]) else { return now };
        let earlier = &before.answered.groups[*row].released;
        let now_behind = self.judged.traces(group);
        let differences = || differences(&now_behind, earlier, Asked::needs(&self.asked.verdict));
        if differences().any(|one| one == Difference::TooFew) {
            return Some(Source::Before(*row));
        }
        let is_same = now_behind.len() == earlier.len() && differences().all(|one| one == Difference::None);
        if is_same { now.map(|_| Source::Same(group)) } else { now }
    }

    pub(super) fn released(&self, source: Source) -> Vec<Released> {
        match source {
            Source::Now(group) | Source::Same(group) => self.judged.traces(group),
            Source::Before(row) => {
                self.before.map(|given| given.answered.groups[row].released.clone()).unwrap_or_default()
            }
        }
    }

    pub(super) fn rows(&self, sources: &[Source]) -> Result<RecordBatch, ArrowError> {
        let given = self.before.map_or(&self.judged.rows, |given| &given.answered.rows);
        let at = |source: &Source| match source {
            Source::Now(group) | Source::Same(group) => (0, *group),
            Source::Before(row) => (1, *row),
        };
        let at: Vec<(usize, usize)> = sources.iter().map(at).collect();
        if at.is_empty() {
            return Ok(self.judged.rows.slice(0, 0));
        }
        interleave_record_batch(&[&self.judged.rows, given], &at)
    }

    /// The groups of the release, in its order.
    pub(super) fn groups(&self, sources: &[Source]) -> Vec<Group> {
        let key = |source: Source| match source {
            Source::Now(group) | Source::Same(group) => self.keys[group].clone(),
            Source::Before(row) => self.before.map(|given| given.answered.groups[row].key.clone()).unwrap_or_default(),
        };
        sources.iter().map(|source| Group { key: key(*source), released: self.released(*source) }).collect()
    }
}

/// How the rows behind each value of one group differ between two times.
fn differences<'r>(now: &'r [Released], before: &'r [Released], needs: Needs) -> impl Iterator<Item = Difference> + 'r {
    now.iter().zip(before).map(move |(one, other)| one.trace.difference(&other.trace, needs))
}

/// The keys of each group as bytes.
pub(super) fn keys(judged: &Judged) -> Result<Vec<Vec<u8>>, ArrowError> {
    let columns: Vec<ArrayRef> = judged.keys.iter().map(|key| Arc::clone(judged.rows.column(*key))).collect();
    if columns.is_empty() {
        return Ok(vec![Vec::new(); judged.rows.num_rows()]);
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| row.as_ref().to_vec()).collect())
}
