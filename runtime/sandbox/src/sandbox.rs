//! From bytes to a plugin.

use std::sync::Arc;

use domicile_types::{Digest, PluginName};
use sha2::{Digest as _, Sha256};

use crate::compile::Compiler;
use crate::error::clip;
use crate::exports::{Describe, Finder};
use crate::inspect::inspect;
use crate::instance::{Origin, Started};
use crate::interface::Interface;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::runtime::Runtime;
use crate::validate::Validator;
use crate::{Plugin, PluginId, SandboxError, SandboxLimits, imports};

const VERSION_BYTES_MAX: usize = 64;

/// Where plugins are loaded and run. Cheap to share by reference; plugins keep what they need of it alive.
pub struct Sandbox {
    runtime: Arc<Runtime>,
    compiler: Compiler,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("compiler", &self.compiler).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// A sandbox with these limits. Starts one thread, which ends with the sandbox and its last plugin.
    ///
    /// # Errors
    /// Where the limits make no sense to the engine, or the host has not enough address space for them.
    pub fn new(limits: SandboxLimits, compiler: Compiler) -> Result<Self, SandboxError> {
        Ok(Self { runtime: Arc::new(Runtime::new(limits)?), compiler })
    }

    /// The limits that all plugins have.
    pub fn limits(&self) -> &SandboxLimits {
        &self.runtime.limits
    }

    /// Looks at a component, compiles it, checks its imports and exports, asks it for its descriptor and checks that.
    /// Takes from tens of milliseconds to seconds of CPU time, depending on the component's size.
    ///
    /// # Errors
    /// Where any of these refuses the component.
    pub fn load(&self, name: PluginName, version: &str, wasm: &[u8]) -> Result<Arc<Plugin>, SandboxError> {
        check_version(version)?;
        let id = PluginId { name, version: version.to_owned(), digest: Digest(Sha256::digest(wasm).into()) };
        let id = Arc::new(id);
        let limit = self.runtime.limits.component_bytes_max;
        if wasm.len() > limit {
            return Err(SandboxError::ComponentTooLarge { plugin: id, bytes: wasm.len(), limit });
        }
        let inspection = inspect(&id, wasm)?;
        let world = inspection.world;
        let component = self.compiler.compile(&self.runtime, world.is_pure(), &id, wasm)?;
        let pre = imports::link(&component, world, &id)?.instantiate_pre(&component).map_err(|error| {
            SandboxError::ComponentMalformed { plugin: Arc::clone(&id), detail: clip(format!("{error:#}")) }
        })?;
        let metrics = Metrics::new().map_err(|error| SandboxError::Engine { detail: error.to_string() })?;
        let origin = Arc::new(Origin {
            id,
            world,
            pre,
            runtime: Arc::clone(&self.runtime),
            metrics: Arc::new(metrics),
            log: Arc::new(Log::default()),
        });
        let mut started = Started::new(&origin)?;
        let instance = started.instance;
        let mut finder = Finder {
            plugin: &origin.id,
            component: &component,
            interface: &inspection.interface,
            store: &mut started.store,
            instance,
        };
        let describe = finder.describe(world)?;
        let exports = finder.exports(world)?;
        let interface = interface(&origin, &mut started, &describe)?;
        Ok(Arc::new(Plugin { origin, interface, exports }))
    }
}

/// Asks a plugin what it is, and checks what it says.
fn interface(origin: &Origin, started: &mut Started, describe: &Describe) -> Result<Interface, SandboxError> {
    let validator = Validator(&origin.id);
    match describe {
        Describe::Functions(bound) => {
            let (functions,) = started.call("describe", &[], 0, |store| bound.call(store, ()), |said, _| Ok(said))?;
            validator.functions(functions)
        }
        Describe::Mapper(bound) => {
            let (mapper,) = started.call("describe", &[], 0, |store| bound.call(store, ()), |said, _| Ok(said))?;
            validator.mapper(mapper)
        }
        Describe::Query(bound) => {
            let (query,) = started.call("describe", &[], 0, |store| bound.call(store, ()), |said, _| Ok(said))?;
            validator.query(query)
        }
        Describe::Merge(bound) => {
            let (columns,) = started.call("describe", &[], 0, |store| bound.call(store, ()), |said, _| Ok(said))?;
            validator.merge(columns)
        }
    }
}

fn check_version(version: &str) -> Result<(), SandboxError> {
    let well_formed = version.starts_with(|c: char| c.is_ascii_digit())
        && version.len() <= VERSION_BYTES_MAX
        && version.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c));
    if well_formed { Ok(()) } else { Err(SandboxError::VersionInvalid { version: version.to_owned() }) }
}
