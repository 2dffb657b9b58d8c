//! The groups of one plugin aggregate at work, as the engine drives them.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, new_empty_array};
use arrow::compute::{cast, concat, filter};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use domicile_sandbox::{Accumulator as Instance, Plugin, SandboxError};

use crate::aggregate::Stage;
use crate::plugin_sql::{blocking, failed};

/// Groups that one call answers for: states are of any size, and a call may answer only so many bytes.
const GROUPS_PER_ANSWER: usize = 4096;

/// Groups in an instance of the plugin that nothing else uses.
pub(crate) struct PluginGroups {
    plugin: Arc<Plugin>,
    function: usize,
    stage: Stage,
    arguments: Vec<DataType>,
    answers: DataType,
    /// Made with the first rows, and gone with the last group.
    instance: Option<Instance>,
    /// Groups that the instance knows of.
    groups: usize,
    memory_bytes: usize,
    /// Makes states of single rows, and keeps none.
    single: Mutex<Option<Instance>>,
}

/// What comes in: the aggregate's arguments, or states of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Incoming {
    Rows,
    States,
}

impl PluginGroups {
    pub(crate) fn new(
        plugin: &Arc<Plugin>,
        function: usize,
        stage: Stage,
        arguments: Vec<DataType>,
        answers: DataType,
    ) -> Self {
        let plugin = Arc::clone(plugin);
        let single = Mutex::new(None);
        Self { plugin, function, stage, arguments, answers, instance: None, groups: 0, memory_bytes: 0, single }
    }

    fn incoming(&self) -> Incoming {
        if self.stage == Stage::Merge { Incoming::States } else { Incoming::Rows }
    }

    /// Takes rows or states in; there are `groups` groups from now on. All rows are of the first group where
    /// `group_of_row` is empty.
    fn take(&mut self, incoming: Incoming, columns: &[ArrayRef], group_of_row: &[u32], groups: usize) -> Result<()> {
        let kinds = self.kinds(incoming);
        let instance = match self.instance.as_mut() {
            Some(instance) => instance,
            None => self.instance.insert(blocking(|| self.plugin.accumulator(self.function)).map_err(failed)?),
        };
        give(instance, incoming, &kinds, columns, group_of_row, groups)?;
        self.memory_bytes = instance.memory_bytes();
        self.groups = groups;
        Ok(())
    }

    fn kinds(&self, incoming: Incoming) -> Vec<DataType> {
        if incoming == Incoming::States { vec![DataType::Binary] } else { self.arguments.clone() }
    }

    /// What the first `groups` groups come to, as states or as answers; they are forgotten.
    fn give(&mut self, groups: usize, as_states: bool) -> Result<ArrayRef> {
        if groups == 0 {
            return Ok(new_empty_array(if as_states { &DataType::Binary } else { &self.answers }));
        }
        if self.groups < groups {
            self.take(Incoming::States, &[new_empty_array(&DataType::Binary)], &[], groups)?;
        }
        let instance = self.instance.as_mut().ok_or_else(no_instance)?;
        let answer = answer(instance, groups, as_states)?;
        self.memory_bytes = instance.memory_bytes();
        self.groups -= groups;
        if self.groups == 0 {
            // An instance's memory never shrinks, and the engine gives groups up to get memory back.
            (self.instance, self.memory_bytes) = (None, 0);
        }
        Ok(answer)
    }

    fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups,
        }
    }
}

fn no_instance() -> DataFusionError {
    DataFusionError::Internal("an aggregate has no instance".to_owned())
}

/// The number of groups, or of one, as the plugin counts them.
fn number(groups: usize) -> Result<u32> {
    u32::try_from(groups).map_err(|_| DataFusionError::ResourcesExhausted(format!("{groups} groups of an aggregate")))
}

fn give(
    instance: &mut Instance,
    incoming: Incoming,
    kinds: &[DataType],
    columns: &[ArrayRef],
    group_of_row: &[u32],
    groups: usize,
) -> Result<()> {
    let groups = number(groups)?;
    let columns = columns.iter().zip(kinds).map(|(column, kind)| cast(column, kind));
    let columns: Vec<ArrayRef> = columns.collect::<std::result::Result<_, _>>()?;
    let first = columns.first().ok_or_else(|| DataFusionError::Internal("an aggregate of no arguments".to_owned()))?;
    let done = blocking(|| match incoming {
        Incoming::Rows => instance.update(&columns, first.len(), group_of_row, groups),
        Incoming::States => instance.merge(first.as_binary::<i32>(), group_of_row, groups),
    });
    done.map_err(failed)
}

fn answer(instance: &mut Instance, groups: usize, as_states: bool) -> Result<ArrayRef> {
    let mut answers: Vec<ArrayRef> = Vec::new();
    let mut left = groups;
    while left > 0 {
        let now = number(left.min(GROUPS_PER_ANSWER))?;
        let answer: std::result::Result<ArrayRef, SandboxError> = blocking(|| {
            if as_states {
                instance.state(now).map(|states: BinaryArray| Arc::new(states) as ArrayRef)
            } else {
                instance.finish(now)
            }
        });
        answers.push(answer.map_err(failed)?);
        left -= now as usize;
    }
    let parts: Vec<&dyn Array> = answers.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

/// The rows that a filter lets in, and the group of each.
fn let_in(
    values: &[ArrayRef],
    group_of_row: Vec<u32>,
    mask: Option<&BooleanArray>,
) -> Result<(Vec<ArrayRef>, Vec<u32>)> {
    let Some(mask) = mask else { return Ok((values.to_vec(), group_of_row)) };
    let values = values.iter().map(|column| filter(column, mask)).collect::<std::result::Result<_, _>>()?;
    let groups = group_of_row.into_iter().zip(mask).filter(|(_, holds)| *holds == Some(true)).map(|(group, _)| group);
    Ok((values, groups.collect()))
}

fn numbers(groups: impl Iterator<Item = usize>) -> Result<Vec<u32>> {
    groups.map(number).collect()
}

impl GroupsAccumulator for PluginGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let (columns, group_of_row) = let_in(values, numbers(group_indices.iter().copied())?, opt_filter)?;
        self.take(self.incoming(), &columns, &group_of_row, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.give(self.emitted(emit_to), self.stage == Stage::State)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.give(self.emitted(emit_to), true)?])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.take(Incoming::States, values, &numbers(group_indices.iter().copied())?, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let incoming = self.incoming();
        if rows == 0 {
            return Ok(vec![new_empty_array(&DataType::Binary)]);
        }
        let (columns, group_of_row) = let_in(values, numbers(0..rows)?, opt_filter)?;
        // An instance is whole or dropped: it is taken out while it works.
        let idle = self.single.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut instance = match idle {
            Some(instance) => instance,
            None => blocking(|| self.plugin.accumulator(self.function)).map_err(failed)?,
        };
        give(&mut instance, incoming, &self.kinds(incoming), &columns, &group_of_row, rows)?;
        let states = answer(&mut instance, rows, true)?;
        *self.single.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance);
        Ok(vec![states])
    }

    fn size(&self) -> usize {
        let single = self.single.lock().unwrap_or_else(PoisonError::into_inner);
        self.memory_bytes + single.as_ref().map_or(0, Instance::memory_bytes)
    }
}

/// All rows as one group.
pub(crate) struct PluginTotal(Mutex<PluginGroups>);

impl PluginTotal {
    pub(crate) fn new(groups: PluginGroups) -> Self {
        Self(Mutex::new(groups))
    }

    fn groups(&mut self) -> &mut PluginGroups {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for PluginTotal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PluginTotal(…)")
    }
}

impl Accumulator for PluginTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let groups = self.groups();
        groups.take(groups.incoming(), values, &[], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let groups = self.groups();
        ScalarValue::try_from_array(&groups.give(1, groups.stage == Stage::State)?, 0)
    }

    fn size(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&self.groups().give(1, true)?, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.groups().take(Incoming::States, states, &[], 1)
    }
}
