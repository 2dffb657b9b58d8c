//! From bytes to a plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domicile_types::{Digest, PluginName};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::error::clip;
use crate::instance::Instance;
use crate::runtime::Runtime;
use crate::validate::Validator;
use crate::wit::{Functions, Mapper};
use crate::{Plugin, PluginId, SandboxError, SandboxLimits, imports};

const VERSION_BYTES_MAX: usize = 64;

/// Where plugins are loaded and run. Cheap to share by reference; plugins keep what they need of it alive.
pub struct Sandbox {
    runtime: Arc<Runtime>,
    next_key: AtomicU64,
}

/// How every WebAssembly file begins.
const MAGIC: &[u8] = b"\0asm";
const NO_MAGIC: &str = "it does not begin like a WebAssembly file";

impl Sandbox {
    /// A sandbox with these limits. Starts one thread, which ends with the sandbox and its last plugin.
    ///
    /// # Errors
    /// Where the limits make no sense to the engine, or the host has not enough address space for them.
    pub fn new(limits: SandboxLimits) -> Result<Self, SandboxError> {
        Ok(Self { runtime: Arc::new(Runtime::new(limits)?), next_key: AtomicU64::new(0) })
    }

    /// The limits that all plugins have.
    pub fn limits(&self) -> &SandboxLimits {
        &self.runtime.limits
    }

    /// Compiles a component, checks its imports and exports, asks it for its descriptor and checks that. Takes from
    /// tens of milliseconds to seconds of CPU time, depending on the component's size.
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
        let malformed = |error: wasmtime::Error| {
            let detail = if wasm.starts_with(MAGIC) { clip(format!("{error:#}")) } else { NO_MAGIC.to_owned() };
            SandboxError::ComponentMalformed { plugin: Arc::clone(&id), detail }
        };
        let component = Component::from_binary(&self.runtime.engine, wasm).map_err(malformed)?;
        let linker = imports::link(&component, &id)?;
        let world = world(&component, &id)?;
        let pre = linker.instantiate_pre(&component).map_err(malformed)?;
        let interface = match world {
            World::Functions => {
                let mut instance = Instance::<Functions>::new(&self.runtime, &id, &pre)?;
                let descriptor = instance.call("describe", |functions, store| functions.describe(store))?;
                Validator(&id).functions(descriptor)?
            }
            World::Mapper => {
                let mut instance = Instance::<Mapper>::new(&self.runtime, &id, &pre)?;
                let descriptor = instance.call("describe", |mapper, store| mapper.describe(store))?;
                Validator(&id).mapper(descriptor)?
            }
        };
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Plugin { id, interface, pre, runtime: Arc::clone(&self.runtime), key }))
    }
}

fn check_version(version: &str) -> Result<(), SandboxError> {
    let well_formed = version.starts_with(|c: char| c.is_ascii_digit())
        && version.len() <= VERSION_BYTES_MAX
        && version.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c));
    if well_formed { Ok(()) } else { Err(SandboxError::VersionInvalid { version: version.to_owned() }) }
}

enum World {
    Functions,
    Mapper,
}

/// The world that a component's exports speak of. Whether they have the right types shows once they are bound.
fn world(component: &Component, plugin: &Arc<PluginId>) -> Result<World, SandboxError> {
    let exports = |name: &str| component.get_export_index(None, name).is_some();
    let missing = |export, detail: &str| SandboxError::ExportMissing {
        plugin: Arc::clone(plugin),
        export,
        detail: detail.to_owned(),
    };
    if !exports("describe") {
        return Err(missing("describe", "it is missing; every world of `domicile:plugin@0.1.0` has it"));
    }
    if exports("call") {
        return Ok(World::Functions);
    }
    match (exports("configure"), exports("map")) {
        (true, true) => Ok(World::Mapper),
        (true, false) => Err(missing("map", "it is missing; the world `mapper` has it")),
        (false, true) => Err(missing("configure", "it is missing; the world `mapper` has it")),
        (false, false) => Err(missing("call", "it is missing, and so is the `map` of the world `mapper`")),
    }
}
