//! The interface `kernels`: work on whole columns at the host's own speed.
//!
//! What a kernel makes is asked for before it is allocated where it can be far more than what went in, and so is what
//! it works with. Its loops look at the clock, since the ticks that end a plugin's code do not reach them.

mod calculate;
mod compare;
mod context;
mod convert;
mod group;
mod join;
mod keys;
mod reduce;
mod select;
mod sort;
#[cfg(test)]
mod tests;
mod types;

use wasmtime::StoreContextMut;
use wasmtime::component::LinkerInstance;

use self::context::run;
use self::types::{Arithmetic, Comparison, Logic, Operand, Reduction, SortKey};
use crate::ValueType;
use crate::host::HostState;

/// The functions of the interface.
pub(crate) const FUNCTIONS: [&str; 15] = [
    "compare",
    "combine",
    "negate",
    "present",
    "calculate",
    "convert",
    "filter",
    "take",
    "concatenate",
    "sort",
    "hash",
    "group",
    "reduce-groups",
    "reduce",
    "join",
];

type Caller<'a> = StoreContextMut<'a, HostState>;
type Interface<'a> = LinkerInstance<'a, HostState>;

/// Gives the functions to plugins.
pub(crate) fn define(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    define_by_row(interface)?;
    define_by_rows(interface)?;
    define_by_key(interface)
}

/// Those that make a row of each row.
fn define_by_row(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    type Binary<Operation> = (Operand, Operation, Operand);
    interface.func_wrap("compare", |store: Caller<'_>, (left, comparison, right): Binary<Comparison>| {
        run(store, "kernels.compare", |kernel| compare::compare(kernel, left, comparison, right))
    })?;
    interface.func_wrap("calculate", |store: Caller<'_>, (left, arithmetic, right): Binary<Arithmetic>| {
        run(store, "kernels.calculate", |kernel| calculate::calculate(kernel, left, arithmetic, right))
    })?;
    interface.func_wrap("combine", |store: Caller<'_>, (left, logic, right): (u32, Logic, u32)| {
        run(store, "kernels.combine", |kernel| compare::combine(kernel, left, logic, right))
    })?;
    interface.func_wrap("negate", |store: Caller<'_>, (column,): (u32,)| {
        run(store, "kernels.negate", |kernel| compare::negate(kernel, column))
    })?;
    interface.func_wrap("present", |store: Caller<'_>, (column,): (u32,)| {
        run(store, "kernels.present", |kernel| compare::present(kernel, column))
    })?;
    interface.func_wrap("convert", |store: Caller<'_>, (column, to): (u32, ValueType)| {
        run(store, "kernels.convert", |kernel| convert::convert(kernel, column, to))
    })
}

/// Those that choose, order or reduce rows.
fn define_by_rows(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("filter", |store: Caller<'_>, (columns, mask): (Vec<u32>, u32)| {
        run(store, "kernels.filter", |kernel| select::filter(kernel, &columns, mask))
    })?;
    interface.func_wrap("take", |store: Caller<'_>, (columns, rows): (Vec<u32>, u32)| {
        run(store, "kernels.take", |kernel| select::take(kernel, &columns, rows))
    })?;
    interface.func_wrap("concatenate", |store: Caller<'_>, (columns,): (Vec<u32>,)| {
        run(store, "kernels.concatenate", |kernel| select::concatenate(kernel, &columns))
    })?;
    interface.func_wrap("sort", |store: Caller<'_>, (keys,): (Vec<SortKey>,)| {
        run(store, "kernels.sort", |kernel| sort::sort(kernel, &keys))
    })?;
    interface.func_wrap("reduce", |store: Caller<'_>, (column, reduction): (u32, Reduction)| {
        run(store, "kernels.reduce", |kernel| reduce::reduce(kernel, column, reduction))
    })
}

/// Those that find equal rows.
fn define_by_key(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    type Groups = (u32, Reduction, u32, u32);
    interface.func_wrap("hash", |store: Caller<'_>, (columns,): (Vec<u32>,)| {
        run(store, "kernels.hash", |kernel| group::hash(kernel, &columns))
    })?;
    interface.func_wrap("group", |store: Caller<'_>, (keys,): (Vec<u32>,)| {
        run(store, "kernels.group", |kernel| group::group(kernel, &keys))
    })?;
    interface.func_wrap("reduce-groups", |store: Caller<'_>, (column, reduction, group_of_row, groups): Groups| {
        run(store, "kernels.reduce-groups", |kernel| {
            reduce::reduce_groups(kernel, column, reduction, group_of_row, groups)
        })
    })?;
    interface.func_wrap("join", |store: Caller<'_>, (left, right): (Vec<u32>, Vec<u32>)| {
        run(store, "kernels.join", |kernel| join::join(kernel, &left, &right))
    })
}
