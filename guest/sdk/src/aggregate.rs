//! Aggregate functions: a state for each group.

use crate::validity::all_of;
use crate::{Answer, Column, Outcome, Validity, ValueType};

/// The state of an aggregate function. [`#[aggregate]`](macro@crate::functions#aggregates) implements it. The default
/// is the state of no rows.
///
/// ```
/// #[domicile_sdk::functions]
/// pub mod functions {
///     use serde::{Deserialize, Serialize};
///
///     /// The state travels by way of serde, which needs the feature of that name.
///     #[derive(Default, Serialize, Deserialize)]
///     pub struct ProductOf {
///         logarithms: f64,
///     }
///
///     #[aggregate]
///     impl ProductOf {
///         fn update(&mut self, value: f64) {
///             self.logarithms += value.ln();
///         }
///
///         fn merge(&mut self, other: Self) {
///             self.logarithms += other.logarithms;
///         }
///
///         fn finish(&self) -> f64 {
///             self.logarithms.exp()
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub trait Aggregate: Default + 'static {
    /// The arguments' names and types.
    const ARGUMENTS: &'static [(&'static str, ValueType)];
    /// The type of the answer.
    const RETURNS: ValueType;
    /// The type of the answer in Rust.
    type Answer: Answer;

    /// Takes in a batch of rows; `state` finds the state of a row's group.
    ///
    /// # Errors
    /// The function's own.
    #[doc(hidden)]
    fn update_rows(rows: usize, arguments: &[u32], states: &mut States<'_, Self>) -> Result<(), String>;
    /// Takes in what another state took in.
    ///
    /// # Errors
    /// The function's own.
    fn merge(&mut self, other: Self) -> Result<(), String>;
    /// The state as bytes, to go on elsewhere.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn to_bytes(&self) -> Result<Vec<u8>, String>;
    /// The state that gave these bytes.
    ///
    /// # Errors
    /// Where no state gave them.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String>;
    /// The answer.
    fn finish(&self) -> Self::Answer;
}

/// The states of the groups of one batch.
#[doc(hidden)]
pub struct States<'a, A> {
    states: &'a mut [A],
    group_of_row: &'a [u32],
}

#[doc(hidden)]
impl<A> States<'_, A> {
    /// Calls `each` for every row that lacks no argument.
    pub fn each<O: Outcome>(
        &mut self,
        rows: usize,
        missing: &[Option<&Validity>],
        mut each: impl FnMut(&mut A, usize) -> O,
    ) -> Result<(), String> {
        let valid = all_of(missing.iter().copied());
        if let ([], None, [only, ..]) = (self.group_of_row, &valid, &mut *self.states) {
            return (0..rows).try_for_each(|row| each(only, row).outcome());
        }
        for row in 0..rows {
            if valid.as_ref().is_none_or(|valid| valid.get(row)) {
                each(state(self.states, self.group_of_row, row)?, row).outcome()?;
            }
        }
        Ok(())
    }
}

fn state<'a, A>(states: &'a mut [A], group_of_row: &[u32], row: usize) -> Result<&'a mut A, String> {
    let group = group_of_row.get(row).map_or(0, |group| *group as usize);
    let groups = states.len();
    states.get_mut(group).ok_or_else(|| format!("row {row} belongs to group {group}, of {groups}"))
}

/// An aggregate function at work on groups, whatever its state.
pub trait Groups {
    /// As the contract's `update`.
    ///
    /// # Errors
    /// The function's own; or where the call does not fit the function.
    fn update(&mut self, rows: usize, arguments: &[u32], group_of_row: &[u32], groups: usize) -> Result<(), String>;
    /// As the contract's `merge`.
    ///
    /// # Errors
    /// Where a state cannot be read, and as `update`.
    fn merge(&mut self, rows: usize, states: u32, group_of_row: &[u32], groups: usize) -> Result<(), String>;
    /// As the contract's `state`.
    ///
    /// # Errors
    /// Where a state cannot be written.
    fn state(&mut self, groups: usize) -> Result<u32, String>;
    /// As the contract's `finish`.
    ///
    /// # Errors
    /// The function's own.
    fn finish(&mut self, groups: usize) -> Result<u32, String>;
}

/// The states of one aggregate function.
#[doc(hidden)]
pub struct GroupsOf<A>(Vec<A>);

impl<A> Default for GroupsOf<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A: Aggregate> GroupsOf<A> {
    fn grow(&mut self, rows: usize, group_of_row: &[u32], groups: usize) -> Result<(), String> {
        if !group_of_row.is_empty() && group_of_row.len() != rows {
            return Err(format!("{} group numbers came with {rows} rows", group_of_row.len()));
        }
        if self.0.len() < groups {
            self.0.resize_with(groups, A::default);
        }
        Ok(())
    }

    fn first(&mut self, groups: usize) -> std::vec::Drain<'_, A> {
        // Groups that no batch has named yet are empty ones.
        if self.0.len() < groups {
            self.0.resize_with(groups, A::default);
        }
        self.0.drain(..groups)
    }
}

impl<A: Aggregate> Groups for GroupsOf<A> {
    fn update(&mut self, rows: usize, arguments: &[u32], group_of_row: &[u32], groups: usize) -> Result<(), String> {
        crate::host::expect_columns(arguments, A::ARGUMENTS.len())?;
        self.grow(rows, group_of_row, groups)?;
        A::update_rows(rows, arguments, &mut States { states: &mut self.0, group_of_row })
    }

    fn merge(&mut self, rows: usize, states: u32, group_of_row: &[u32], groups: usize) -> Result<(), String> {
        self.grow(rows, group_of_row, groups)?;
        let states = Column::<[u8]>::read(states)?;
        if states.len() != rows {
            return Err(format!("{} states came for {rows} rows", states.len()));
        }
        for (row, bytes) in states.iter().enumerate() {
            if let Some(bytes) = bytes {
                state(&mut self.0, group_of_row, row)?.merge(A::from_bytes(bytes)?)?;
            }
        }
        Ok(())
    }

    fn state(&mut self, groups: usize) -> Result<u32, String> {
        let mut column = crate::Builder::<[u8]>::default();
        for state in self.first(groups) {
            column.push(Some(&state.to_bytes()?));
        }
        Ok(column.finish().write())
    }

    fn finish(&mut self, groups: usize) -> Result<u32, String> {
        let mut column = crate::Builder::default();
        for state in self.first(groups) {
            state.finish().put(&mut column)?;
        }
        Ok(column.finish().write())
    }
}
