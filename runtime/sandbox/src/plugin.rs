//! A loaded plugin, and calls of its functions.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use domicile_types::{Digest, PluginName};
use wasmtime::component::InstancePre;

use crate::column::{self, LoweredColumn};
use crate::error::clip;
use crate::instance::{HostState, Instance};
use crate::interface::{FunctionSignature, Interface, MapperInterface};
use crate::pool::PluginKey;
use crate::runtime::Runtime;
use crate::wit::Functions;
use crate::{MapperInstance, OutputUnit, SandboxError, Value};

/// Which plugin it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginId {
    /// Name.
    pub name: PluginName,
    /// Version, as given at load.
    pub version: String,
    /// SHA-256 of the component's bytes.
    pub digest: Digest,
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.name, self.version)
    }
}

/// A plugin that has been compiled and checked. Any number of threads may call it at once.
pub struct Plugin {
    pub(crate) id: Arc<PluginId>,
    pub(crate) interface: Interface,
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) key: PluginKey,
}

impl Plugin {
    /// Which plugin it is.
    pub fn id(&self) -> &PluginId {
        &self.id
    }

    /// What it declares about itself.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Computes the function at an index of [`Interface::Functions`] over a batch: one array of `rows` rows for each
    /// declared argument, of the argument's [`arrow_type`](crate::ValueType::arrow_type). The answer has `rows` rows of
    /// the declared type.
    ///
    /// Blocks for at most the time limit. Calls from several threads run in instances of their own; instances are
    /// kept for later calls, unless a call fails.
    ///
    /// # Errors
    /// Where the plugin has no such function, the arguments do not fit it, there are more rows than the limit, no
    /// instance is free, or the plugin fails, exceeds a limit or returns something invalid.
    pub fn call_function(&self, index: usize, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, SandboxError> {
        let (number, signature) = self.signature(index)?;
        let unfit = |detail| self.unfit(&signature.name, detail);
        let kinds = signature.arguments.iter().map(|argument| argument.kind);
        column::check(arguments, kinds, rows).map_err(unfit)?;
        let limit = self.runtime.limits.output_rows_max;
        let Some(row_count) = u32::try_from(rows).ok().filter(|_| rows <= limit) else {
            return Err(self.too_many_rows(signature, limit));
        };
        let lowered = arguments.iter().map(LoweredColumn::new).collect::<Result<Vec<_>, _>>().map_err(unfit)?;
        let columns: Vec<_> = lowered.iter().map(LoweredColumn::as_param).collect();
        let mut instance = self.function_instance()?;
        let answer =
            instance.call(&signature.name, |functions, store| functions.call(store, number, row_count, &columns))?;
        self.runtime.idle.put(self.key, instance);
        let answer = answer.map_err(|message| SandboxError::Returned {
            plugin: Arc::clone(&self.id),
            function: signature.name.clone(),
            message: clip(message),
        })?;
        if column::row_count(&answer) > rows {
            return Err(self.too_many_rows(signature, rows));
        }
        column::lift(answer, signature.returns, rows).map_err(|detail| SandboxError::OutputInvalid {
            plugin: Arc::clone(&self.id),
            function: signature.name.clone(),
            detail,
        })
    }

    /// A mapper with these parameters, in the declared order; see [`MapperInterface::defaults`]. It has an instance of
    /// its own, which ends with it.
    ///
    /// # Errors
    /// Where the plugin is not a mapper, a parameter does not fit or is refused, no instance is free, or the plugin
    /// fails or exceeds a limit.
    pub fn mapper(self: &Arc<Self>, parameters: &[Value]) -> Result<MapperInstance, SandboxError> {
        MapperInstance::new(self, parameters)
    }

    pub(crate) fn mapper_interface(&self) -> Result<&MapperInterface, SandboxError> {
        match &self.interface {
            Interface::Mapper(interface) => Ok(interface),
            Interface::Functions(_) => Err(SandboxError::WrongWorld { plugin: Arc::clone(&self.id), wanted: "mapper" }),
        }
    }

    pub(crate) fn unfit(&self, function: &str, detail: String) -> SandboxError {
        SandboxError::ArgumentsInvalid { plugin: Arc::clone(&self.id), function: function.to_owned(), detail }
    }

    fn signature(&self, index: usize) -> Result<(u32, &FunctionSignature), SandboxError> {
        let Interface::Functions(functions) = &self.interface else {
            return Err(SandboxError::WrongWorld { plugin: Arc::clone(&self.id), wanted: "functions" });
        };
        u32::try_from(index)
            .ok()
            .and_then(|number| Some((number, functions.get(index)?)))
            .ok_or_else(|| self.unfit(&format!("#{index}"), format!("it has {} functions", functions.len())))
    }

    fn function_instance(&self) -> Result<Instance<Functions>, SandboxError> {
        match self.runtime.idle.take(self.key) {
            Some(instance) => Ok(instance),
            None => Instance::new(&self.runtime, &self.id, &self.pre),
        }
    }

    fn too_many_rows(&self, signature: &FunctionSignature, limit: usize) -> SandboxError {
        SandboxError::OutputLimit {
            plugin: Arc::clone(&self.id),
            function: signature.name.clone(),
            limit,
            unit: OutputUnit::Rows,
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.runtime.idle.remove(self.key);
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("id", &self.id).field("interface", &self.interface).finish_non_exhaustive()
    }
}
