//! A mapper over the rows of a file, entity by entity.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};
use domicile_sandbox::{MapperInterface, Plugin, Value};

use super::{ALONE_MAX, BATCH_ROWS, Groups, Prepared, Request, Strictness, batch, none_of, parameters, slices};
use crate::files::LocalRows;
use crate::{AuthorError, Check};

pub(super) struct Mapper {
    plugin: Arc<Plugin>,
    interface: MapperInterface,
    parameters: Vec<Value>,
    entity: String,
    entities: Groups,
    /// The rows of the first entity, then those of the second, and so on.
    inputs: Vec<ArrayRef>,
    /// For each entity the end of its rows.
    ends: Vec<u32>,
}

impl Mapper {
    pub(super) fn new(
        plugin: &Arc<Plugin>,
        interface: &MapperInterface,
        request: &Request,
        rows: &LocalRows,
    ) -> Result<Self, AuthorError> {
        let entity = request.entity.clone();
        let entity =
            entity.ok_or_else(|| AuthorError::setting("name the column of the `entity` that rows are about"))?;
        let keys = rows.keys(&entity)?;
        if let Some(row) = (0..keys.len()).find(|row| keys.is_null(*row)) {
            let problem = "there is no entity that the row is about".to_owned();
            return Err(AuthorError::Cell { path: rows.path().to_path_buf(), row: row + 1, column: entity, problem });
        }
        let entities = Groups::of(&keys);
        let mut order: Vec<u32> = (0..rows.rows() as u32).collect();
        order.sort_by_key(|row| entities.of_row[*row as usize]);
        let order = UInt32Array::from(order);
        let mut ends = vec![0; entities.keys_len()];
        entities.of_row.iter().for_each(|entity| ends[*entity as usize] += 1);
        ends.iter_mut().fold(0, |before, end| {
            *end += before;
            *end
        });
        let inputs =
            interface.inputs.iter().map(|input| Ok(take(&rows.column(&input.name, input.kind)?, &order, None)?));
        Ok(Self {
            plugin: Arc::clone(plugin),
            interface: interface.clone(),
            parameters: parameters(&interface.parameters, &request.parameters)?,
            entity,
            entities,
            inputs: inputs.collect::<Result<_, AuthorError>>()?,
            ends,
        })
    }

    fn start(&self, entity: usize) -> u32 {
        entity.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Calls with entities `from..to`; their rows as `order` puts them.
    fn call(
        &self,
        instance: &mut domicile_sandbox::MapperInstance,
        from: usize,
        to: usize,
        reversed: bool,
    ) -> Result<Vec<ArrayRef>, AuthorError> {
        let start = self.start(from);
        let ends: Vec<u32> = self.ends[from..to].iter().map(|end| end - start).collect();
        let mut inputs = slices(&self.inputs, start as usize, (self.start(to) - start) as usize);
        if reversed {
            let backwards = |(from, to): (u32, u32)| (from..to).rev();
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let order: UInt32Array = starts.zip(ends.iter().copied()).flat_map(backwards).collect::<Vec<_>>().into();
            inputs = inputs.iter().map(|input| take(input, &order, None)).collect::<Result<_, _>>()?;
        }
        Ok(instance.map(&inputs, &ends)?)
    }

    /// Runs of whole entities with about as many rows as SQL hands on at a time.
    fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs = Vec::new();
        let mut from = 0;
        for to in 1..=self.ends.len() {
            if to == self.ends.len() || (self.start(to + 1) - self.start(from)) as usize > BATCH_ROWS {
                runs.push((from, to));
                from = to;
            }
        }
        runs
    }

    fn answered(&self, parts: &[Vec<ArrayRef>], entities: usize) -> Result<RecordBatch, AuthorError> {
        let output = |(index, output): (usize, &domicile_sandbox::Output)| {
            let empty = none_of(output.value_type());
            let parts = parts.iter().map(|part| part[index].as_ref()).chain([empty.as_ref()]).collect::<Vec<_>>();
            Ok((output.name.clone(), concat(&parts)?))
        };
        let outputs = self.interface.outputs.iter().enumerate().map(output).collect::<Result<Vec<_>, AuthorError>>()?;
        let keys = (self.entity.clone(), Arc::new(self.entities.keys.slice(0, entities)) as ArrayRef);
        batch([keys].into_iter().chain(outputs).collect())
    }

    fn together(&self, reversed: bool) -> Result<RecordBatch, AuthorError> {
        let mut instance = self.plugin.mapper(&self.parameters)?;
        let call = |(from, to)| self.call(&mut instance, from, to, reversed);
        let parts = self.runs().into_iter().map(call).collect::<Result<Vec<_>, _>>()?;
        self.answered(&parts, self.ends.len())
    }

    fn alone(&self, entities: usize) -> Result<RecordBatch, AuthorError> {
        let call = |entity| self.call(&mut self.plugin.mapper(&self.parameters)?, entity, entity + 1, false);
        let parts = (0..entities).map(call).collect::<Result<Vec<_>, AuthorError>>()?;
        self.answered(&parts, entities)
    }
}

impl Prepared for Mapper {
    fn answer(&self) -> Result<RecordBatch, AuthorError> {
        self.together(false)
    }

    fn checks(&self, answer: &RecordBatch, strictness: Strictness) -> Result<Vec<Check>, AuthorError> {
        let entities = self.ends.len().min(ALONE_MAX);
        let alone = self.alone(entities);
        Ok(vec![
            Check::same("one entity at a time, each in a fresh instance", &answer.slice(0, entities), alone, 0.0)?,
            Check::same("each entity's rows in reverse order", answer, self.together(true), strictness.reordered())?,
        ])
    }
}
