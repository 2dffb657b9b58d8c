//! A loaded plugin.

use std::fmt;
use std::sync::Arc;

use domicile_types::{Digest, PluginName};

use crate::accumulator::Accumulator;
use crate::exports::Exports;
use crate::functions::FunctionCalls;
use crate::instance::Origin;
use crate::interface::Interface;
use crate::log::LogLine;
use crate::mapper::MapperInstance;
use crate::merge::MergeInstance;
use crate::metrics::PluginMetrics;
use crate::session::QuerySession;
use crate::{SandboxError, Value};

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

/// A plugin that has been compiled and checked. Any number of threads may use it at once.
pub struct Plugin {
    pub(crate) origin: Arc<Origin>,
    pub(crate) interface: Interface,
    pub(crate) exports: Exports,
}

impl Plugin {
    /// Which plugin it is.
    pub fn id(&self) -> &PluginId {
        &self.origin.id
    }

    /// What it declares about itself.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What its calls cost since it was loaded.
    pub fn metrics(&self) -> PluginMetrics {
        self.origin.metrics.snapshot()
    }

    /// The last lines that it logged, the oldest first. Their texts may hold values of rows: they stay in the region.
    pub fn log_lines(&self) -> Vec<LogLine> {
        self.origin.log.lines()
    }

    /// Its scalar functions, for one query.
    ///
    /// # Errors
    /// Where the plugin is of another world.
    pub fn functions(self: &Arc<Self>) -> Result<FunctionCalls, SandboxError> {
        FunctionCalls::new(self)
    }

    /// An accumulator of the aggregate function at an index of [`Interface::Functions`].
    ///
    /// # Errors
    /// Where there is no such aggregate function, no instance is free, or the plugin fails or exceeds a limit.
    pub fn accumulator(self: &Arc<Self>, function: usize) -> Result<Accumulator, SandboxError> {
        Accumulator::new(self, function)
    }

    /// A mapper with these parameters, in the declared order; see
    /// [`MapperInterface::defaults`](crate::MapperInterface::defaults).
    ///
    /// # Errors
    /// Where the plugin is not a mapper, a parameter does not fit or is refused, no instance is free, or the plugin
    /// fails or exceeds a limit.
    pub fn mapper(self: &Arc<Self>, parameters: &[Value]) -> Result<MapperInstance, SandboxError> {
        MapperInstance::new(self, parameters)
    }

    /// A session of the query with these parameters, in the declared order; see
    /// [`QueryInterface::defaults`](crate::QueryInterface::defaults).
    ///
    /// # Errors
    /// Where the plugin is not a query, a parameter does not fit or is refused, no instance is free, or the plugin
    /// fails or exceeds a limit.
    pub fn query(self: &Arc<Self>, parameters: &[Value]) -> Result<QuerySession, SandboxError> {
        QuerySession::new(self, parameters)
    }

    /// An instance that resolves conflicts.
    ///
    /// # Errors
    /// Where the plugin is of another world, no instance is free, or the plugin fails or exceeds a limit.
    pub fn merge(self: &Arc<Self>) -> Result<MergeInstance, SandboxError> {
        MergeInstance::new(self)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("id", self.id()).field("interface", &self.interface).finish_non_exhaustive()
    }
}
