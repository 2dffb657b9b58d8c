//! Plugins outside of a region: the same code, compiled for this machine, driven without a sandbox.
//!
//! The attributes [`functions`](macro@crate::functions), [`mapper`](macro@crate::mapper), [`query`](macro@crate::query)
//! and [`merge`](macro@crate::merge) add a hidden function `__domicile_native` next to the item that they are put on.
//! Put them at the root of a crate of the types `["cdylib", "rlib"]`, and a program or test that depends on the crate
//! can call `the_plugin::__domicile_native()` and drive the [`Plugin`] that it returns.
//!
//! Columns go in and come out as [`Contents`], which are plain vectors. Those that go in are shared, not copied, until
//! the plugin reads them; reading copies once, as in a region. Everything runs on the calling thread.
//!
//! ```
//! use std::sync::Arc;
//! use domicile_sdk::native::Plugin;
//! use domicile_sdk::{Contents, Values};
//!
//! #[domicile_sdk::functions]
//! pub mod functions {
//!     pub fn net_revenue(price: f64, discount: f64) -> f64 {
//!         price * (1.0 - discount)
//!     }
//! }
//!
//! fn main() {
//!     let Plugin::Functions(plugin) = __domicile_native() else { panic!("it has functions") };
//!     assert_eq!(plugin.signatures()[0].name, "net_revenue");
//!
//!     let column = |values| Arc::new(Contents { values: Values::Double(values), validity: None });
//!     let answer = plugin.call(0, 2, &[column(vec![10.0, 20.0]), column(vec![0.5, 0.25])]).unwrap();
//!     assert_eq!(answer.values, Values::Double(vec![5.0, 15.0]));
//! }
//! ```

pub(crate) mod table;

use std::sync::Arc;

use crate::aggregate::Groups;
use crate::functions::{Function, FunctionSignature};
use crate::mapper::{Configured, MapperDescriptor};
use crate::query::{AnySession, Numbers, QueryDescriptor};
use crate::{Contents, Field, Mapper, Merge, Query, Value, Version, functions, mapper, merge, query};

/// A plugin, by its world.
pub enum Plugin {
    /// With functions for SQL.
    Functions(FunctionsPlugin),
    /// That maps entities.
    Mapper(MapperPlugin),
    /// That answers a question with a name.
    Query(QueryPlugin),
    /// That resolves conflicts.
    Merge(MergePlugin),
}

impl Plugin {
    #[doc(hidden)]
    pub fn functions<F: functions::Functions>() -> Self {
        Self::Functions(FunctionsPlugin(F::FUNCTIONS))
    }

    #[doc(hidden)]
    pub fn mapper<M: Mapper>() -> Self {
        Self::Mapper(MapperPlugin { describe: mapper::describe::<M>, configure: mapper::configure::<M> })
    }

    #[doc(hidden)]
    pub fn query<Q: Query>() -> Self {
        Self::Query(QueryPlugin { describe: query::describe::<Q>, open: query::open::<Q> })
    }

    #[doc(hidden)]
    pub fn merge<M: Merge>() -> Self {
        Self::Merge(MergePlugin { describe: merge::describe::<M>, resolve: merge::resolve::<M> })
    }
}

fn enter(columns: &[Arc<Contents>]) -> Vec<u32> {
    columns.iter().map(|column| table::add(Arc::clone(column))).collect()
}

/// Runs a call that answers one column. It is moved out, unless the plugin answers an argument.
fn one(call: impl FnOnce() -> Result<u32, String>) -> Result<Contents, String> {
    table::during(|| call().map(table::get)).map(Arc::unwrap_or_clone)
}

/// Functions for SQL.
pub struct FunctionsPlugin(&'static [Function]);

impl FunctionsPlugin {
    /// The functions, in the order in which others number them.
    pub fn signatures(&self) -> Vec<FunctionSignature> {
        self.0.iter().map(Function::signature).collect()
    }

    /// Computes a scalar function over `rows` rows.
    ///
    /// # Errors
    /// The function's own; or where the call does not fit its signature.
    pub fn call(&self, function: u32, rows: u32, arguments: &[Arc<Contents>]) -> Result<Contents, String> {
        one(|| functions::call(self.0, function, rows, &enter(arguments)))
    }

    /// An aggregate function at work, without groups yet.
    ///
    /// # Errors
    /// Where the function is no aggregate.
    pub fn accumulator(&self, function: u32) -> Result<Accumulator, String> {
        functions::groups(self.0, function).map(Accumulator)
    }
}

/// An aggregate function at work. The methods are those of the contract's resource `accumulator`.
pub struct Accumulator(Box<dyn Groups>);

impl Accumulator {
    /// Takes a batch of rows in. Row `i` belongs to group `group_of_row[i]`, all to group 0 where that is empty.
    ///
    /// # Errors
    /// The function's own; or where the call does not fit its signature.
    pub fn update(
        &mut self,
        rows: u32,
        arguments: &[Arc<Contents>],
        group_of_row: &[u32],
        groups: u32,
    ) -> Result<(), String> {
        table::during(|| self.0.update(rows as usize, &enter(arguments), group_of_row, groups as usize))
    }

    /// Takes in states that [`Self::state`] gave.
    ///
    /// # Errors
    /// Where they are no states.
    pub fn merge(
        &mut self,
        rows: u32,
        states: &Arc<Contents>,
        group_of_row: &[u32],
        groups: u32,
    ) -> Result<(), String> {
        table::during(|| self.0.merge(rows as usize, table::add(Arc::clone(states)), group_of_row, groups as usize))
    }

    /// The states of the first `groups` groups, which are forgotten.
    ///
    /// # Errors
    /// Where a state cannot be written.
    pub fn state(&mut self, groups: u32) -> Result<Contents, String> {
        one(|| self.0.state(groups as usize))
    }

    /// The answers for the first `groups` groups, which are forgotten.
    ///
    /// # Errors
    /// The function's own.
    pub fn finish(&mut self, groups: u32) -> Result<Contents, String> {
        one(|| self.0.finish(groups as usize))
    }
}

type Configure = fn(&[Value]) -> Result<Box<dyn Configured>, String>;

/// A mapper.
pub struct MapperPlugin {
    describe: fn() -> MapperDescriptor,
    configure: Configure,
}

impl MapperPlugin {
    /// What it reads and makes.
    pub fn describe(&self) -> MapperDescriptor {
        (self.describe)()
    }

    /// The mapper with one value for each declared parameter.
    ///
    /// # Errors
    /// Where a parameter makes no sense.
    pub fn configure(&self, parameters: &[Value]) -> Result<MapperInstance, String> {
        (self.configure)(parameters).map(MapperInstance)
    }
}

/// A mapper with its parameters.
pub struct MapperInstance(Box<dyn Configured>);

impl MapperInstance {
    /// Maps entities: `ends` says for each where its rows end in `inputs`. The answer has a column for each output.
    ///
    /// # Errors
    /// The mapper's own; or where the call does not fit its description.
    pub fn map(&self, ends: &[u32], inputs: &[Arc<Contents>]) -> Result<Vec<Arc<Contents>>, String> {
        table::during(|| {
            let columns = self.0.map(ends, &enter(inputs))?;
            Ok(columns.into_iter().map(table::get).collect())
        })
    }
}

type Open = fn(&[Value]) -> Result<Box<dyn AnySession>, String>;

/// A question with a name.
pub struct QueryPlugin {
    describe: fn() -> QueryDescriptor,
    open: Open,
}

impl QueryPlugin {
    /// What it reads and makes.
    pub fn describe(&self) -> QueryDescriptor {
        (self.describe)()
    }

    /// A session with one value for each declared parameter.
    ///
    /// # Errors
    /// Where a parameter makes no sense.
    pub fn open(&self, parameters: &[Value]) -> Result<QuerySession, String> {
        (self.open)(parameters).map(QuerySession)
    }
}

/// Rows of a table, by column.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// How many rows each column has.
    pub rows: u32,
    /// One for each declared column.
    pub columns: Vec<Arc<Contents>>,
}

/// A session of a question. The methods are those of the contract's resource `session`.
pub struct QuerySession(Box<dyn AnySession>);

impl QuerySession {
    /// Takes in rows that the SQL gave.
    ///
    /// # Errors
    /// The question's own; or where the rows do not fit its description.
    pub fn input(&self, rows: &Columns) -> Result<(), String> {
        table::during(|| self.0.input(rows.rows, &enter(&rows.columns)))
    }

    /// What the region contributes; once.
    ///
    /// # Errors
    /// The question's own; or where the session has ended.
    pub fn partial(&self) -> Result<Columns, String> {
        table::during(|| self.0.partial().map(leave_table))
    }

    /// Takes in what a region contributed.
    ///
    /// # Errors
    /// As [`Self::input`].
    pub fn merge(&self, rows: &Columns) -> Result<(), String> {
        table::during(|| self.0.merge(rows.rows, &enter(&rows.columns)))
    }

    /// The answer; once.
    ///
    /// # Errors
    /// As [`Self::partial`].
    pub fn finish(&self) -> Result<Columns, String> {
        table::during(|| self.0.finish().map(leave_table))
    }
}

fn leave_table((rows, numbers): Numbers) -> Columns {
    Columns { rows, columns: numbers.into_iter().map(table::get).collect() }
}

type Resolve = fn(&[Version<Vec<Value>>]) -> Result<Vec<Value>, String>;

/// A rule that resolves conflicts.
pub struct MergePlugin {
    describe: fn() -> Vec<Field>,
    resolve: Resolve,
}

impl MergePlugin {
    /// The columns that it resolves.
    pub fn describe(&self) -> Vec<Field> {
        (self.describe)()
    }

    /// The values that hold, of at least two versions with one value for each declared column.
    ///
    /// # Errors
    /// The rule's own; or where the values do not fit its columns.
    pub fn resolve(&self, versions: &[Version<Vec<Value>>]) -> Result<Vec<Value>, String> {
        (self.resolve)(versions)
    }
}
