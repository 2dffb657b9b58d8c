//! What [`#[functions]`](macro@crate::functions) makes of a module.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::aggregate::Groups;
use crate::bindings::functions::exports::domicile::plugin::functions as contract;
use crate::column::Column;
use crate::validity::all_of;
use crate::{Answer, Cell, ColumnAnswer, Field, Validity, ValueType, host};

pub use contract::{FunctionKind, FunctionSignature};

/// A function of the plugin.
pub struct Function {
    /// Its name in SQL.
    pub name: &'static str,
    /// Its arguments' names and types.
    pub arguments: &'static [(&'static str, ValueType)],
    /// The type of its answer.
    pub returns: ValueType,
    /// How it is computed.
    pub body: Body,
}

/// How a function is computed.
pub enum Body {
    /// From the columns of a batch of so many rows to the column of answers.
    Scalar(fn(rows: usize, arguments: &[u32]) -> Result<u32, String>),
    /// States of groups.
    Aggregate(fn() -> Box<dyn Groups>),
}

impl Function {
    pub(crate) fn signature(&self) -> FunctionSignature {
        let arguments = self.arguments.iter().map(|(name, kind)| Field { name: (*name).to_owned(), kind: *kind });
        FunctionSignature {
            name: self.name.to_owned(),
            kind: match self.body {
                Body::Scalar(_) => FunctionKind::Scalar,
                Body::Aggregate(_) => FunctionKind::Aggregate,
            },
            arguments: arguments.collect(),
            returns: self.returns,
        }
    }
}

/// The functions of a plugin.
pub trait Functions: 'static {
    /// In the order in which others number them.
    const FUNCTIONS: &'static [Function];
}

/// Computes a scalar function.
///
/// # Errors
/// The function's own; or where it is called for what it is not.
pub(crate) fn call(functions: &[Function], function: u32, rows: u32, arguments: &[u32]) -> Result<u32, String> {
    let function = functions.get(function as usize).ok_or("the plugin has no function of that number")?;
    host::expect_columns(arguments, function.arguments.len())?;
    match function.body {
        Body::Scalar(call) => call(rows as usize, arguments),
        Body::Aggregate(_) => Err(format!("`{}` is an aggregate and cannot be called row by row", function.name)),
    }
}

/// The empty states of an aggregate function.
///
/// # Errors
/// Where the function is no aggregate.
pub(crate) fn groups(functions: &[Function], function: u32) -> Result<Box<dyn Groups>, String> {
    match functions.get(function as usize).map(|function| &function.body) {
        Some(Body::Aggregate(groups)) => Ok(groups()),
        Some(Body::Scalar(_)) => Err("the function of that number is no aggregate".to_owned()),
        None => Err("the plugin has no function of that number".to_owned()),
    }
}

/// One argument of a batch, read.
#[doc(hidden)]
pub struct Argument<C: Cell>(Column<C::Element>);

#[doc(hidden)]
impl<C: Cell> Argument<C> {
    pub fn read(number: u32, rows: usize) -> Result<Self, String> {
        let column = Column::read(number)?;
        match column.len() == rows {
            true => Ok(Self(column)),
            false => Err(format!("an argument has {} rows instead of {rows}", column.len())),
        }
    }

    #[inline]
    pub fn view(&self, rows: usize) -> C::View<'_> {
        C::view(&self.0, rows)
    }

    pub fn missing(&self) -> Option<&Validity> {
        C::missing(&self.0)
    }
}

/// The answers of a function that is called row by row; a row that lacks an argument gets none.
#[doc(hidden)]
#[inline]
pub fn by_row<A: Answer>(
    rows: usize,
    missing: &[Option<&Validity>],
    each: impl FnMut(usize) -> A,
) -> Result<u32, String> {
    let valid = all_of(missing.iter().copied());
    Ok(crate::answer::answers(rows, valid.as_ref(), each)?.write())
}

/// The answer of a function that is called once for all rows.
#[doc(hidden)]
pub fn by_batch(rows: usize, answer: impl ColumnAnswer) -> Result<u32, String> {
    match answer.into_number()? {
        (number, found) if found == rows => Ok(number),
        (_, found) => Err(format!("the function answered {found} rows for a batch of {rows}")),
    }
}

/// The exports of a plugin of the world `functions-plugin`.
#[doc(hidden)]
pub struct Exports<F>(PhantomData<F>);

impl<F: Functions> contract::Guest for Exports<F> {
    type Accumulator = Accumulator<F>;

    fn describe() -> Vec<FunctionSignature> {
        crate::panic::start();
        F::FUNCTIONS.iter().map(Function::signature).collect()
    }

    fn call(function: u32, rows: u32, arguments: Vec<u32>) -> Result<u32, String> {
        crate::panic::start();
        call(F::FUNCTIONS, function, rows, &arguments)
    }
}

/// An accumulator as the contract knows it.
#[doc(hidden)]
pub struct Accumulator<F> {
    groups: Result<RefCell<Box<dyn Groups>>, String>,
    plugin: PhantomData<F>,
}

impl<F> Accumulator<F> {
    fn with<T>(&self, work: impl FnOnce(&mut dyn Groups) -> Result<T, String>) -> Result<T, String> {
        let groups = self.groups.as_ref().map_err(String::clone)?;
        work(&mut **groups.borrow_mut())
    }
}

impl<F: Functions> contract::GuestAccumulator for Accumulator<F> {
    fn new(function: u32) -> Self {
        crate::panic::start();
        Self { groups: groups(F::FUNCTIONS, function).map(RefCell::new), plugin: PhantomData }
    }

    fn update(&self, rows: u32, arguments: Vec<u32>, group_of_row: Vec<u32>, groups: u32) -> Result<(), String> {
        self.with(|states| states.update(rows as usize, &arguments, &group_of_row, groups as usize))
    }

    fn merge(&self, rows: u32, states: u32, group_of_row: Vec<u32>, groups: u32) -> Result<(), String> {
        self.with(|own| own.merge(rows as usize, states, &group_of_row, groups as usize))
    }

    fn state(&self, groups: u32) -> Result<u32, String> {
        self.with(|states| states.state(groups as usize))
    }

    fn finish(&self, groups: u32) -> Result<u32, String> {
        self.with(|states| states.finish(groups as usize))
    }
}
