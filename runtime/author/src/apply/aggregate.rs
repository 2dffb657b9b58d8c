//! An aggregate function over the rows of a file, in groups.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use domicile_sandbox::Accumulator;

use super::function::Function;
use super::{BATCH_ROWS, Groups, PARTS, Prepared, Request, Strictness, batch, batches, slices};
use crate::files::LocalRows;
use crate::{AuthorError, Check};

pub(super) struct Aggregate {
    function: Function,
    group_by: Option<String>,
    /// All rows are in one group where there is no column that tells groups apart.
    groups: Option<Groups>,
}

impl Aggregate {
    pub(super) fn new(function: Function, request: &Request, rows: &LocalRows) -> Result<Self, AuthorError> {
        let groups = request.group_by.as_deref().map(|column| rows.keys(column)).transpose()?;
        Ok(Self { function, group_by: request.group_by.clone(), groups: groups.map(|keys| Groups::of(&keys)) })
    }

    fn accumulator(&self) -> Result<Accumulator, AuthorError> {
        Ok(self.function.plugin.accumulator(self.function.index)?)
    }

    fn count(&self) -> u32 {
        self.groups.as_ref().map_or(1, Groups::len)
    }

    /// Takes rows in, by their numbers, a batch at a time.
    fn update(&self, into: &mut Accumulator, rows: &UInt32Array) -> Result<(), AuthorError> {
        let columns =
            self.function.arguments.iter().map(|column| take(column, rows, None)).collect::<Result<Vec<_>, _>>()?;
        let of_row = self.groups.as_ref().map_or(&[][..], |groups| &groups.of_row);
        let of_row: Vec<u32> = rows.values().iter().filter_map(|row| of_row.get(*row as usize)).copied().collect();
        for (start, length) in batches(rows.values().len(), BATCH_ROWS) {
            let of_row = if of_row.is_empty() { &[] } else { &of_row[start..start + length] };
            into.update(&slices(&columns, start, length), length, of_row, self.count())?;
        }
        Ok(())
    }

    fn answered(&self, mut accumulator: Accumulator) -> Result<RecordBatch, AuthorError> {
        let answer = (self.function.signature.name.clone(), accumulator.finish(self.count())?);
        let key = self.group_by.clone().zip(self.groups.as_ref());
        let key = key.map(|(name, groups)| (name, Arc::new(groups.keys.clone()) as ArrayRef));
        batch(key.into_iter().chain([answer]).collect())
    }

    /// The same rows in parts, each on its own, their states put together.
    fn in_parts(&self) -> Result<RecordBatch, AuthorError> {
        let mut merged = self.accumulator()?;
        let numbers: Vec<u32> = (0..self.count()).collect();
        for part in 0..PARTS {
            let mut accumulator = self.accumulator()?;
            self.update(&mut accumulator, &(part as u32..self.function.rows as u32).step_by(PARTS).collect())?;
            let states = accumulator.state(self.count())?;
            merged.merge(&states, &numbers, self.count())?;
        }
        self.answered(merged)
    }
}

impl Prepared for Aggregate {
    fn answer(&self) -> Result<RecordBatch, AuthorError> {
        let mut accumulator = self.accumulator()?;
        self.update(&mut accumulator, &(0..self.function.rows as u32).collect())?;
        self.answered(accumulator)
    }

    fn checks(&self, answer: &RecordBatch, strictness: Strictness) -> Result<Vec<Check>, AuthorError> {
        Ok(vec![Check::same("states of three parts merged", answer, self.in_parts(), strictness.reordered())?])
    }
}
