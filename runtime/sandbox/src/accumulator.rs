//! An aggregate function at work.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::concat;
use wasmtime::component::ResourceAny;

use crate::columns;
use crate::exports::{Aggregate, Exports};
use crate::functions::column;
use crate::instance::{Instance, Unanswered, argument_numbers};
use crate::limit::Limit;
use crate::unchecked::Bound;
use crate::{FunctionKind, FunctionSignature, Plugin, SandboxError, ValueType};

/// An accumulator of one aggregate function over any number of groups, numbered from 0 on, in an instance of its own.
/// After an error it is not to be used again.
///
/// Every method blocks for at most the time limit, [`state`](Self::state) and [`finish`](Self::finish) once for each
/// [`output_rows_max`](crate::SandboxLimits::output_rows_max) groups.
pub struct Accumulator {
    plugin: Arc<Plugin>,
    signature: FunctionSignature,
    instance: Instance<Aggregate>,
    handle: ResourceAny,
}

impl Accumulator {
    pub(crate) fn new(plugin: &Arc<Plugin>, function: usize) -> Result<Self, SandboxError> {
        let (number, signature) = plugin.function(function, FunctionKind::Aggregate)?;
        let Exports::Functions { aggregate, .. } = &plugin.exports else {
            return Err(plugin.origin.wrong_world("functions"));
        };
        let mut instance = Instance::<Aggregate>::new(&plugin.origin, aggregate)?;
        let Instance { started, uses } = &mut instance;
        let make = |store: &mut _| uses.make.call(store, (number,));
        let handle = started.call(&signature.name, &[], 0, make, |(handle,), _| Ok(handle))?;
        Ok(Self { plugin: Arc::clone(plugin), signature: signature.clone(), instance, handle })
    }

    /// The function.
    pub fn signature(&self) -> &FunctionSignature {
        &self.signature
    }

    /// Linear memory of the instance, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.instance.started.store.data().memory_bytes()
    }

    /// Takes a batch in: an array of `rows` rows for each declared argument. Row `i` belongs to group
    /// `group_of_row[i]`; all belong to group 0 where that is empty. There are `groups` groups from now on, never fewer
    /// than before.
    ///
    /// # Errors
    /// Where the arrays or groups do not fit, or the plugin fails or exceeds a limit.
    pub fn update(
        &mut self,
        arguments: &[ArrayRef],
        rows: usize,
        group_of_row: &[u32],
        groups: u32,
    ) -> Result<(), SandboxError> {
        let (origin, name) = (&self.plugin.origin, self.signature.name.as_str());
        let fitting = columns::check(arguments, &self.signature.arguments, rows)
            .and_then(|()| check_groups(rows, group_of_row, groups));
        let row_count = fitting.map_err(|detail| origin.unfit(name, detail))?;
        let Instance { started, uses } = &mut self.instance;
        let params = (self.handle, row_count, argument_numbers(arguments.len()), group_of_row, groups);
        started.call(
            name,
            arguments,
            rows,
            |store| uses.update.call(store, params),
            |(done,), _| done.map_err(Unanswered::Said),
        )
    }

    /// Takes in states that other accumulators of this function gave; otherwise as [`update`](Self::update). A row
    /// without a value is an empty state.
    ///
    /// # Errors
    /// Where the groups do not fit, or the plugin fails, refuses a state or exceeds a limit.
    pub fn merge(&mut self, states: &BinaryArray, group_of_row: &[u32], groups: u32) -> Result<(), SandboxError> {
        let (name, rows) = (self.signature.name.as_str(), states.len());
        let row_count =
            check_groups(rows, group_of_row, groups).map_err(|detail| self.plugin.origin.unfit(name, detail))?;
        let states: [ArrayRef; 1] = [Arc::new(states.clone())];
        let Instance { started, uses } = &mut self.instance;
        let params = (self.handle, row_count, 0, group_of_row, groups);
        started.call(
            name,
            &states,
            rows,
            |store| uses.merge.call(store, params),
            |(done,), _| done.map_err(Unanswered::Said),
        )
    }

    /// The states of the first `groups` groups, one row each, for accumulators elsewhere. Those groups are forgotten;
    /// the group that had the number `groups` now has the number 0, and so on.
    ///
    /// # Errors
    /// Where the plugin fails, exceeds a limit or returns something invalid.
    pub fn state(&mut self, groups: u32) -> Result<BinaryArray, SandboxError> {
        let states = self.of_groups(groups, ValueType::Bytes, |uses| &uses.state)?;
        let states = states.as_binary_opt::<i32>().cloned();
        states.ok_or_else(|| self.plugin.origin.unfit(&self.signature.name, "its states are not of bytes".to_owned()))
    }

    /// The answers for the first `groups` groups, one row each, of the declared type. They are forgotten as in
    /// [`state`](Self::state).
    ///
    /// # Errors
    /// Where the plugin fails, exceeds a limit or returns something invalid.
    pub fn finish(&mut self, groups: u32) -> Result<ArrayRef, SandboxError> {
        self.of_groups(groups, self.signature.returns, |uses| &uses.finish)
    }

    /// Asks for as many groups at a time as one call may answer.
    fn of_groups(
        &mut self,
        groups: u32,
        kind: ValueType,
        ask: impl Fn(&Aggregate) -> &Bound<crate::exports::OfGroups>,
    ) -> Result<ArrayRef, SandboxError> {
        let (origin, name) = (&self.plugin.origin, self.signature.name.as_str());
        let limits = &origin.runtime.limits;
        let step = u32::try_from(limits.output_rows_max).unwrap_or(u32::MAX);
        if step == 0 {
            return Err(origin.limit_reached(name, Limit::OutputRows(0)));
        }
        let (mut left, mut parts) = (groups, Vec::new());
        while left > 0 || parts.is_empty() {
            let asked = left.min(step);
            let Instance { started, uses } = &mut self.instance;
            let part = started.call(
                name,
                &[],
                asked as usize,
                |store| ask(uses).call(store, (self.handle, asked)),
                |(answer,), frame| column(frame, answer.map_err(Unanswered::Said)?, kind, asked as usize, limits),
            )?;
            parts.push(part);
            left -= asked;
        }
        if let [part] = parts.as_slice() {
            return Ok(Arc::clone(part));
        }
        let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
        // Texts of more than 2 GiB do not fit into one array.
        concat(&parts).map_err(|_| origin.limit_reached(name, Limit::OutputBytes(limits.output_bytes_max)))
    }
}

fn check_groups(rows: usize, group_of_row: &[u32], groups: u32) -> Result<u32, String> {
    if !group_of_row.is_empty() && group_of_row.len() != rows {
        return Err(format!("{} groups of rows for {rows} rows", group_of_row.len()));
    }
    if group_of_row.iter().max().is_some_and(|largest| *largest >= groups) || (rows > 0 && groups == 0) {
        return Err(format!("a row's group is not among the {groups} that there are"));
    }
    u32::try_from(rows).map_err(|_| format!("{rows} rows are more than one call can have"))
}
