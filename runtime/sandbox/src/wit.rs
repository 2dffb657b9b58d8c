//! The host's side of `wit/plugin.wit`, by hand: what goes in borrows from Arrow buffers, which generated types do not.
//!
//! The engine compares these types with each component's when the component is loaded.

use wasmtime::component::{ComponentType, Func, Instance, Lift, Lower, TypedFunc};
use wasmtime::{AsContextMut, Store};

use crate::instance::HostState;

pub(crate) const HOST_INTERFACE: &str = "domicile:plugin/host@0.1.0";
pub(crate) const TYPES_INTERFACE: &str = "domicile:plugin/types@0.1.0";

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes them from numbers")]
pub(crate) enum ValueType {
    #[component(name = "bigint")]
    BigInt,
    #[component(name = "double")]
    Double,
    #[component(name = "text")]
    Text,
    #[component(name = "date")]
    Date,
    #[component(name = "boolean")]
    Boolean,
}

#[derive(Debug, Clone, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum ValueIn<'a> {
    #[component(name = "null")]
    Null,
    #[component(name = "bigint")]
    BigInt(i64),
    #[component(name = "double")]
    Double(f64),
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "date")]
    Date(i32),
    #[component(name = "boolean")]
    Boolean(bool),
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ValueOut {
    #[component(name = "null")]
    Null,
    #[component(name = "bigint")]
    BigInt(i64),
    #[component(name = "double")]
    Double(f64),
    #[component(name = "text")]
    Text(String),
    #[component(name = "date")]
    Date(i32),
    #[component(name = "boolean")]
    Boolean(bool),
}

#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct TextsIn<'a> {
    pub(crate) offsets: &'a [i32],
    pub(crate) bytes: &'a [u8],
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct TextsOut {
    pub(crate) offsets: Vec<i32>,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Clone, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum ValuesIn<'a> {
    #[component(name = "bigint")]
    BigInt(&'a [i64]),
    #[component(name = "double")]
    Double(&'a [f64]),
    #[component(name = "text")]
    Text(TextsIn<'a>),
    #[component(name = "date")]
    Date(&'a [i32]),
    #[component(name = "boolean")]
    Boolean(&'a [bool]),
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ValuesOut {
    #[component(name = "bigint")]
    BigInt(Vec<i64>),
    #[component(name = "double")]
    Double(Vec<f64>),
    #[component(name = "text")]
    Text(TextsOut),
    #[component(name = "date")]
    Date(Vec<i32>),
    #[component(name = "boolean")]
    Boolean(Vec<bool>),
}

#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct ColumnIn<'a> {
    pub(crate) values: ValuesIn<'a>,
    pub(crate) validity: Option<&'a [u8]>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct ColumnOut {
    pub(crate) values: ValuesOut,
    pub(crate) validity: Option<Vec<u8>>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: ValueType,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct FunctionSignature {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Field>,
    pub(crate) returns: ValueType,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct FunctionsDescriptor {
    pub(crate) functions: Vec<FunctionSignature>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) default: ValueOut,
}

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Bounds {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum OutputKind {
    #[component(name = "category")]
    Category(Vec<String>),
    #[component(name = "measure")]
    Measure(Bounds),
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) kind: OutputKind,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Endpoint {
    #[component(name = "group-by")]
    pub(crate) group_by: Vec<String>,
    pub(crate) sum: Vec<String>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct MapperDescriptor {
    pub(crate) dataset: String,
    pub(crate) inputs: Vec<Field>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) endpoint: Endpoint,
}

/// An export that has the wrong type, or is missing.
pub(crate) struct BindError {
    pub(crate) export: &'static str,
    pub(crate) error: wasmtime::Error,
}

/// The exports of one world, in one instance.
pub(crate) trait World: Sized {
    fn bind(store: &mut Store<HostState>, instance: &Instance) -> Result<Self, BindError>;
}

type CallParams<'a> = (u32, u32, &'a [ColumnIn<'a>]);
type CallResults = (Result<ColumnOut, String>,);
type MapParams<'a> = (&'a [ColumnIn<'a>],);
type MapResults = (Result<Vec<ValueOut>, String>,);
type ConfigureParams<'a> = (&'a [ValueIn<'a>],);
type ConfigureResults = (Result<(), String>,);

macro_rules! bind {
    ($store:ident, $instance:ident, $export:literal: $params:ty, $results:ty) => {
        $instance
            .get_typed_func::<$params, $results>($store.as_context_mut(), $export)
            .map_err(|error| BindError { export: $export, error })?
    };
}

/// World `functions`.
pub(crate) struct Functions {
    describe: TypedFunc<(), (FunctionsDescriptor,)>,
    call: Func,
}

impl World for Functions {
    fn bind(store: &mut Store<HostState>, instance: &Instance) -> Result<Self, BindError> {
        let describe = bind!(store, instance, "describe": (), (FunctionsDescriptor,));
        let call = *bind!(store, instance, "call": CallParams<'_>, CallResults).func();
        Ok(Self { describe, call })
    }
}

impl Functions {
    pub(crate) fn describe(&self, store: &mut Store<HostState>) -> wasmtime::Result<FunctionsDescriptor> {
        self.describe.call(store, ()).map(|(descriptor,)| descriptor)
    }

    pub(crate) fn call(
        &self,
        store: &mut Store<HostState>,
        function: u32,
        rows: u32,
        arguments: &[ColumnIn<'_>],
    ) -> wasmtime::Result<Result<ColumnOut, String>> {
        // SAFETY: `bind` checked the type of this export; only the lifetime of the borrow differs.
        let call = unsafe { TypedFunc::<CallParams<'_>, CallResults>::new_unchecked(self.call) };
        call.call(store, (function, rows, arguments)).map(|(answer,)| answer)
    }
}

/// World `mapper`.
pub(crate) struct Mapper {
    describe: TypedFunc<(), (MapperDescriptor,)>,
    configure: Func,
    map: Func,
}

impl World for Mapper {
    fn bind(store: &mut Store<HostState>, instance: &Instance) -> Result<Self, BindError> {
        let describe = bind!(store, instance, "describe": (), (MapperDescriptor,));
        let configure = *bind!(store, instance, "configure": ConfigureParams<'_>, ConfigureResults).func();
        let map = *bind!(store, instance, "map": MapParams<'_>, MapResults).func();
        Ok(Self { describe, configure, map })
    }
}

impl Mapper {
    pub(crate) fn describe(&self, store: &mut Store<HostState>) -> wasmtime::Result<MapperDescriptor> {
        self.describe.call(store, ()).map(|(descriptor,)| descriptor)
    }

    pub(crate) fn configure(
        &self,
        store: &mut Store<HostState>,
        parameters: &[ValueIn<'_>],
    ) -> wasmtime::Result<Result<(), String>> {
        // SAFETY: `bind` checked the type of this export; only the lifetime of the borrow differs.
        let configure = unsafe { TypedFunc::<ConfigureParams<'_>, ConfigureResults>::new_unchecked(self.configure) };
        configure.call(store, (parameters,)).map(|(answer,)| answer)
    }

    pub(crate) fn map(
        &self,
        store: &mut Store<HostState>,
        rows: &[ColumnIn<'_>],
    ) -> wasmtime::Result<Result<Vec<ValueOut>, String>> {
        // SAFETY: `bind` checked the type of this export; only the lifetime of the borrow differs.
        let map = unsafe { TypedFunc::<MapParams<'_>, MapResults>::new_unchecked(self.map) };
        map.call(store, (rows,)).map(|(answer,)| answer)
    }
}
