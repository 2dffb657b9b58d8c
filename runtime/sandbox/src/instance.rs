//! One instance of a component, and what happens when a call into it goes wrong.

use std::sync::Arc;

use wasmtime::component::InstancePre;
use wasmtime::{ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder, Trap, WasmBacktrace};

use crate::error::clip;
use crate::imports::InertCall;
use crate::runtime::{Runtime, Slot, TABLE_ELEMENTS_MAX};
use crate::wit::{Level, World};
use crate::{OutputUnit, PluginId, SandboxError};

/// What the host keeps for one instance.
pub(crate) struct HostState {
    plugin: Arc<PluginId>,
    limits: StoreLimits,
    memory_bytes_max: usize,
    log_bytes_left: usize,
    critical: Option<String>,
}

/// The plugin asked for more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("memory limit")]
struct MemoryLimitReached;

impl ResourceLimiter for HostState {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // A component has one memory (the pool sees to it). Trapping here, instead of letting the allocation fail,
        // keeps what the plugin does about the failure from hiding the cause.
        if desired > self.memory_bytes_max {
            return Err(MemoryLimitReached.into());
        }
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }
}

impl HostState {
    /// Takes a line from the plugin, unless the call has logged its fill.
    pub(crate) fn log(&mut self, level: Level, message: String) {
        let Some(left) = self.log_bytes_left.checked_sub(message.len()) else {
            return;
        };
        self.log_bytes_left = left;
        let (plugin, version) = (self.plugin.name.as_str(), self.plugin.version.as_str());
        match level {
            Level::Trace => tracing::trace!(plugin, version, message),
            Level::Debug => tracing::debug!(plugin, version, message),
            Level::Info => tracing::info!(plugin, version, message),
            Level::Warn => tracing::warn!(plugin, version, message),
            Level::Error => tracing::error!(plugin, version, message),
            Level::Critical => {
                tracing::error!(plugin, version, message);
                self.critical = Some(clip(message));
            }
        }
    }
}

/// An instance with the exports of its world.
pub(crate) struct Instance<W> {
    store: Store<HostState>,
    world: W,
    runtime: Arc<Runtime>,
    plugin: Arc<PluginId>,
    // Last: the store must have given its memory back to the pool before another instance takes the slot.
    _slot: Slot,
}

impl<W: World> Instance<W> {
    /// A fresh instance. Code of the plugin may run already, under the limits of a call.
    pub(crate) fn new(
        runtime: &Arc<Runtime>,
        plugin: &Arc<PluginId>,
        pre: &InstancePre<HostState>,
    ) -> Result<Self, SandboxError> {
        let slot = runtime.slot(plugin)?;
        let limits = &runtime.limits;
        let state = HostState {
            plugin: Arc::clone(plugin),
            limits: StoreLimitsBuilder::new().table_elements(TABLE_ELEMENTS_MAX).build(),
            memory_bytes_max: limits.memory_bytes_max,
            log_bytes_left: limits.log_bytes_max,
            critical: None,
        };
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.output_bytes_max);
        store.epoch_deadline_trap();
        store.set_epoch_deadline(runtime.call_ticks());
        let made = pre.instantiate(&mut store);
        let instance = made.map_err(|error| explain(runtime, plugin, "start", store.data_mut(), &error))?;
        let world = W::bind(&mut store, &instance).map_err(|unbound| SandboxError::ExportMissing {
            plugin: Arc::clone(plugin),
            export: unbound.export,
            detail: clip(format!("{:#}", unbound.error)),
        })?;
        Ok(Self { store, world, runtime: Arc::clone(runtime), plugin: Arc::clone(plugin), _slot: slot })
    }

    /// Calls into the plugin under the limits of one call. After an error the instance is not to be used again.
    pub(crate) fn call<R>(
        &mut self,
        function: &str,
        call: impl FnOnce(&W, &mut Store<HostState>) -> wasmtime::Result<R>,
    ) -> Result<R, SandboxError> {
        self.store.set_epoch_deadline(self.runtime.call_ticks());
        let state = self.store.data_mut();
        state.log_bytes_left = self.runtime.limits.log_bytes_max;
        state.critical = None;
        call(&self.world, &mut self.store)
            .map_err(|error| explain(&self.runtime, &self.plugin, function, self.store.data_mut(), &error))
    }
}

/// What an error of the engine means to the people who read it.
fn explain(
    runtime: &Runtime,
    plugin: &Arc<PluginId>,
    function: &str,
    state: &mut HostState,
    error: &wasmtime::Error,
) -> SandboxError {
    let (plugin, function) = (Arc::clone(plugin), function.to_owned());
    if error.is::<MemoryLimitReached>() {
        return SandboxError::MemoryLimit { plugin, function, limit: runtime.limits.memory_bytes_max };
    }
    if let Some(call) = error.downcast_ref::<InertCall>() {
        return SandboxError::Trapped { plugin, function, trap: call.to_string(), message: state.critical.take() };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => SandboxError::TimeLimit { plugin, function, limit: runtime.limits.call_timeout },
        Some(trap) => {
            if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
                tracing::warn!(plugin = %plugin, function, %trap, %backtrace, "plugin trapped");
            }
            SandboxError::Trapped { plugin, function, trap: trap.to_string(), message: state.critical.take() }
        }
        None if is_output_limit(error) => {
            let limit = runtime.limits.output_bytes_max;
            SandboxError::OutputLimit { plugin, function, limit, unit: OutputUnit::Bytes }
        }
        None => SandboxError::OutputInvalid { plugin, function, detail: clip(format!("{error:#}")) },
    }
}

/// The engine's type for this error is private, so its words are all there is; the test with `floods` guards them.
fn is_output_limit(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}
