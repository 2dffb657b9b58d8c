//! What components of each world export, found and compared with the contract once, when a component is loaded.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, ResourceAny};

use crate::contract::World;
use crate::error::clip;
use crate::host::HostState;
use crate::unchecked::{Bound, Export, Signature};
use crate::wit::{MapperDescriptor, QueryDescriptor, TableIn, TableOut};
use crate::{Field, FunctionSignature, PluginId, RowVersion, SandboxError, Value};

/// Functions by their types: `Name: (what goes in) -> what comes out`. Where `'a` is, the host's memory is borrowed.
macro_rules! signatures {
    ($($name:ident: ($($param:ty),*) -> $result:ty;)*) => {
        $(
            pub(crate) enum $name {}

            impl Signature for $name {
                type Params<'a> = ($($param,)*);
                type Results = ($result,);
            }
        )*
    };
}

signatures! {
    DescribeFunctions: () -> Vec<FunctionSignature>;
    Call: (u32, u32, &'a [u32]) -> Result<u32, String>;
    MakeAccumulator: (u32) -> ResourceAny;
    Update: (ResourceAny, u32, &'a [u32], &'a [u32], u32) -> Result<(), String>;
    MergeStates: (ResourceAny, u32, u32, &'a [u32], u32) -> Result<(), String>;
    OfGroups: (ResourceAny, u32) -> Result<u32, String>;
    DescribeMapper: () -> MapperDescriptor;
    Configure: (&'a [Value]) -> Result<(), String>;
    Map: (&'a [u32], &'a [u32]) -> Result<Vec<u32>, String>;
    DescribeQuery: () -> QueryDescriptor;
    Open: (&'a [Value]) -> Result<ResourceAny, String>;
    TakeRows: (ResourceAny, TableIn<'a>) -> Result<(), String>;
    GiveRows: (ResourceAny) -> Result<TableOut, String>;
    DescribeMerge: () -> Vec<Field>;
    Resolve: (&'a [RowVersion]) -> Result<Vec<Value>, String>;
}

/// The functions of an instance that one kind of caller needs.
pub(crate) trait Use: Sized {
    /// The same functions in a component.
    type Exports;

    /// None where the exports are of another component.
    fn bind(exports: &Self::Exports, store: &mut Store<HostState>, instance: &Instance) -> Option<Self>;
}

macro_rules! uses {
    ($($exports:ident => $bound:ident { $($field:ident: $signature:ident = $name:literal,)* })*) => {
        $(
            pub(crate) struct $exports {
                $($field: Export<$signature>,)*
            }

            impl $exports {
                fn find(finder: &mut Finder<'_>) -> Result<Self, SandboxError> {
                    Ok(Self { $($field: finder.find($name)?,)* })
                }
            }

            pub(crate) struct $bound {
                $(pub(crate) $field: Bound<$signature>,)*
            }

            impl Use for $bound {
                type Exports = $exports;

                fn bind(exports: &$exports, store: &mut Store<HostState>, instance: &Instance) -> Option<Self> {
                    Some(Self { $($field: exports.$field.bind(store, instance)?,)* })
                }
            }
        )*
    };
}

uses! {
    ScalarExports => Scalar {
        call: Call = "call",
    }
    AggregateExports => Aggregate {
        make: MakeAccumulator = "[constructor]accumulator",
        update: Update = "[method]accumulator.update",
        merge: MergeStates = "[method]accumulator.merge",
        state: OfGroups = "[method]accumulator.state",
        finish: OfGroups = "[method]accumulator.finish",
    }
    MapperExports => Mapper {
        configure: Configure = "configure",
        map: Map = "map",
    }
    QueryExports => Session {
        open: Open = "[static]session.open",
        input: TakeRows = "[method]session.input",
        partial: GiveRows = "[method]session.partial",
        merge: TakeRows = "[method]session.merge",
        finish: GiveRows = "[method]session.finish",
    }
    MergeExports => Merge {
        resolve: Resolve = "resolve",
    }
}

/// The exports of a component by its world.
pub(crate) enum Exports {
    Functions { scalar: ScalarExports, aggregate: AggregateExports },
    Mapper(MapperExports),
    Query(QueryExports),
    Merge(MergeExports),
}

/// The `describe` of each world.
pub(crate) enum Describe {
    Functions(Bound<DescribeFunctions>),
    Mapper(Bound<DescribeMapper>),
    Query(Bound<DescribeQuery>),
    Merge(Bound<DescribeMerge>),
}

/// Looks for exports in the interface of a component's world.
pub(crate) struct Finder<'a> {
    pub(crate) plugin: &'a Arc<PluginId>,
    pub(crate) component: &'a Component,
    /// The interface's name as the component exports it.
    pub(crate) interface: &'a str,
    pub(crate) store: &'a mut Store<HostState>,
    pub(crate) instance: Instance,
}

impl Finder<'_> {
    /// Everything that the world asks.
    pub(crate) fn exports(&mut self, world: World) -> Result<Exports, SandboxError> {
        Ok(match world {
            World::Functions => {
                Exports::Functions { scalar: ScalarExports::find(self)?, aggregate: AggregateExports::find(self)? }
            }
            World::Mapper => Exports::Mapper(MapperExports::find(self)?),
            World::Query => Exports::Query(QueryExports::find(self)?),
            World::Merge => Exports::Merge(MergeExports::find(self)?),
        })
    }

    /// How the component describes itself.
    pub(crate) fn describe(&mut self, world: World) -> Result<Describe, SandboxError> {
        Ok(match world {
            World::Functions => Describe::Functions(self.bound("describe")?),
            World::Mapper => Describe::Mapper(self.bound("describe")?),
            World::Query => Describe::Query(self.bound("describe")?),
            World::Merge => Describe::Merge(self.bound("describe")?),
        })
    }

    fn bound<S: Signature>(&mut self, name: &str) -> Result<Bound<S>, SandboxError> {
        let export = self.find::<S>(name)?;
        let bound = export.bind(self.store, &self.instance);
        bound.ok_or_else(|| self.missing(name, "it is missing".to_owned()))
    }

    fn find<S: Signature>(&mut self, name: &str) -> Result<Export<S>, SandboxError> {
        let index = self.index(name).ok_or_else(|| self.missing(name, "it is missing".to_owned()))?;
        Export::check(self.store, &self.instance, index).map_err(|error| self.missing(name, format!("{error:#}")))
    }

    fn index(&self, name: &str) -> Option<ComponentExportIndex> {
        let interface = self.component.get_export_index(None, self.interface)?;
        self.component.get_export_index(Some(&interface), name)
    }

    fn missing(&self, name: &str, detail: String) -> SandboxError {
        let export = format!("{}#{name}", self.interface);
        SandboxError::ExportMissing { plugin: Arc::clone(self.plugin), export, detail: clip(detail) }
    }
}
