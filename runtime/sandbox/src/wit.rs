//! The host's side of `wit/plugin.wit`, by hand: what goes in borrows from Arrow buffers, which generated types do not.
//!
//! The engine compares these types with each component's when the component is loaded. Types that mean the same on both
//! sides are the public ones of [`crate::interface`] and [`crate::value`].

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::unchecked::Elements;
use crate::{Field, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes them from numbers")]
pub(crate) enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct RunsIn {
    pub(crate) offsets: Elements<i32>,
    pub(crate) bytes: Elements<u8>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct DictionaryIn {
    pub(crate) indices: Vec<u32>,
    pub(crate) texts: RunsIn,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(crate) enum ValuesIn {
    #[component(name = "bigint")]
    BigInt(Elements<i64>),
    #[component(name = "double")]
    Double(Elements<f64>),
    #[component(name = "text")]
    Text(RunsIn),
    #[component(name = "date")]
    Date(Elements<i32>),
    #[component(name = "boolean")]
    Boolean(Vec<bool>),
    #[component(name = "bytes")]
    Bytes(RunsIn),
    #[component(name = "dictionary")]
    #[expect(dead_code, reason = "the host never answers with it, but the types of both sides are to be the same")]
    Dictionary(DictionaryIn),
}

/// What a column has, on its way into a plugin.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct ContentsIn {
    pub(crate) values: ValuesIn,
    pub(crate) validity: Option<Elements<u8>>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct RunsOut {
    pub(crate) offsets: Vec<i32>,
    pub(crate) bytes: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct DictionaryOut {
    pub(crate) indices: Vec<u32>,
    pub(crate) texts: RunsOut,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ValuesOut {
    #[component(name = "bigint")]
    BigInt(Vec<i64>),
    #[component(name = "double")]
    Double(Vec<f64>),
    #[component(name = "text")]
    Text(RunsOut),
    #[component(name = "date")]
    Date(Vec<i32>),
    #[component(name = "boolean")]
    Boolean(Vec<bool>),
    #[component(name = "bytes")]
    Bytes(RunsOut),
    #[component(name = "dictionary")]
    Dictionary(DictionaryOut),
}

/// What a column is to have, on its way out of a plugin. Nothing about it has been checked.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ContentsOut {
    pub(crate) values: ValuesOut,
    pub(crate) validity: Option<Vec<u8>>,
}

/// Rows of a table, by the numbers of its columns.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct TableIn<'a> {
    pub(crate) rows: u32,
    pub(crate) columns: &'a [u32],
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct TableOut {
    pub(crate) rows: u32,
    pub(crate) columns: Vec<u32>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) default: Value,
}

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Bounds {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum OutputKind {
    #[component(name = "category")]
    Category(Vec<String>),
    #[component(name = "measure")]
    Measure(Bounds),
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) kind: OutputKind,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Endpoint {
    #[component(name = "group-by")]
    pub(crate) group_by: Vec<String>,
    pub(crate) sum: Vec<String>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct MapperDescriptor {
    pub(crate) dataset: String,
    pub(crate) inputs: Vec<Field>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) endpoint: Endpoint,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct QueryDescriptor {
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) input: String,
    pub(crate) columns: Vec<Field>,
    pub(crate) partial: Vec<Field>,
    pub(crate) outputs: Vec<Field>,
}
