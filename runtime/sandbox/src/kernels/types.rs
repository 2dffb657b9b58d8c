//! The types of the interface `kernels`.

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::Value;

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Operand {
    #[component(name = "column")]
    Column(u32),
    #[component(name = "value")]
    Value(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[cfg_attr(not(test), expect(dead_code, reason = "the engine makes them from numbers"))]
pub(crate) enum Comparison {
    #[component(name = "equal")]
    Equal,
    #[component(name = "not-equal")]
    NotEqual,
    #[component(name = "less")]
    Less,
    #[component(name = "less-or-equal")]
    LessOrEqual,
    #[component(name = "greater")]
    Greater,
    #[component(name = "greater-or-equal")]
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[cfg_attr(not(test), expect(dead_code, reason = "the engine makes them from numbers"))]
pub(crate) enum Arithmetic {
    #[component(name = "add")]
    Add,
    #[component(name = "subtract")]
    Subtract,
    #[component(name = "multiply")]
    Multiply,
    #[component(name = "divide")]
    Divide,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[cfg_attr(not(test), expect(dead_code, reason = "the engine makes them from numbers"))]
pub(crate) enum Logic {
    #[component(name = "and")]
    And,
    #[component(name = "or")]
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[cfg_attr(not(test), expect(dead_code, reason = "the engine makes them from numbers"))]
pub(crate) enum Reduction {
    #[component(name = "count")]
    Count,
    #[component(name = "sum")]
    Sum,
    #[component(name = "min")]
    Min,
    #[component(name = "max")]
    Max,
}

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(record)]
pub(crate) struct SortKey {
    pub(crate) column: u32,
    pub(crate) descending: bool,
    #[component(name = "nulls-first")]
    pub(crate) nulls_first: bool,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Grouping {
    pub(crate) groups: u32,
    #[component(name = "group-of-row")]
    pub(crate) group_of_row: u32,
    #[component(name = "first-row")]
    pub(crate) first_row: u32,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Pairs {
    pub(crate) left: u32,
    pub(crate) right: u32,
}
