//! What a component may import: the host's interfaces, and the plumbing that standard libraries always ask for.
//!
//! The Rust and C standard libraries of WASI import parts of `wasi:cli` and `wasi:io` whether or not a plugin uses
//! them. Those parts are accepted and inert: the environment is empty, everything else traps when called.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};

use crate::contract::{COLUMNS, HOST, KERNELS, Named, TYPES, World, read_name, versioned};
use crate::error::clip;
use crate::host::HostState;
use crate::refusal::Refusal;
use crate::wit::Level;
use crate::{PluginId, SandboxError, columns, kernels};

const INERT_INTERFACES: [&str; 13] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
];

/// Stands for every resource of an inert interface. None is ever made.
struct Inert;

/// What a world's component may import by a name.
pub(crate) enum Import<'a> {
    /// An interface of the host, without its version.
    Given(&'a str),
    /// Plumbing.
    Inert,
    /// Nothing that the world is given.
    Refused,
    /// An interface of the host in a version that it does not speak.
    Unspoken,
}

/// What stands behind an import's name.
pub(crate) fn read_import(world: World, name: &str) -> Import<'_> {
    match read_name(name) {
        Named::Ours(TYPES) => Import::Given(TYPES),
        Named::Ours(interface) if [HOST, COLUMNS, KERNELS].contains(&interface) && !world.is_pure() => {
            Import::Given(interface)
        }
        Named::Ours(_) => Import::Refused,
        Named::Unspoken => Import::Unspoken,
        Named::Foreign if is_inert(name) => Import::Inert,
        Named::Foreign => Import::Refused,
    }
}

/// A linker with what the component imports. The names have been looked at before it was compiled.
///
/// # Errors
/// Where an import is not among what plugins are given; the error names it.
pub(crate) fn link(
    component: &Component,
    world: World,
    plugin: &Arc<PluginId>,
) -> Result<Linker<HostState>, SandboxError> {
    let engine = component.engine();
    let refused = |import: String| SandboxError::ImportRefused { plugin: Arc::clone(plugin), import: clip(import) };
    let internal = |error: wasmtime::Error| SandboxError::Engine { detail: format!("{error:#}") };
    let mut linker = Linker::new(engine);
    define_given(&mut linker).map_err(internal)?;
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            return Err(refused(name.to_owned()));
        };
        match read_import(world, name) {
            Import::Given(given) => {
                for (item, export) in interface.exports(engine) {
                    if !matches!(export.ty, ComponentItem::Type(_)) && !functions_of(given).contains(&item) {
                        return Err(refused(format!("{name}#{item}")));
                    }
                }
            }
            Import::Inert => {
                let mut instance = linker.instance(name).map_err(internal)?;
                for (item, export) in interface.exports(engine) {
                    define_inert(&mut instance, name, item, &export.ty).map_err(internal)?;
                }
            }
            Import::Refused | Import::Unspoken => return Err(refused(name.to_owned())),
        }
    }
    Ok(linker)
}

fn functions_of(interface: &str) -> &'static [&'static str] {
    match interface {
        HOST => &["log"],
        COLUMNS => &columns::FUNCTIONS,
        KERNELS => &kernels::FUNCTIONS,
        _ => &[],
    }
}

/// Defines the host's interfaces in its own version; the engine finds them for older minor versions too.
fn define_given(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut host = linker.instance(&versioned(HOST))?;
    host.func_wrap("log", |mut store: StoreContextMut<'_, HostState>, (level, message): (Level, String)| {
        store.data_mut().host_called()?;
        store.data_mut().log(level, message);
        Ok(())
    })?;
    columns::define(&mut linker.instance(&versioned(COLUMNS))?)?;
    kernels::define(&mut linker.instance(&versioned(KERNELS))?)
}

fn is_inert(import: &str) -> bool {
    import
        .split_once('@')
        .is_some_and(|(interface, version)| INERT_INTERFACES.contains(&interface) && version.starts_with("0.2."))
}

fn define_inert(
    instance: &mut LinkerInstance<'_, HostState>,
    interface: &str,
    item: &str,
    kind: &ComponentItem,
) -> wasmtime::Result<()> {
    match kind {
        ComponentItem::ComponentFunc(_) if item == "get-environment" => {
            instance.func_wrap(item, |_, (): ()| Ok((Vec::<(String, String)>::new(),)))
        }
        ComponentItem::ComponentFunc(_) => {
            let name = format!("{interface}#{item}");
            instance.func_new(item, move |_, _, _, _| Err(Refusal::Inert(name.clone()).into()))
        }
        ComponentItem::Resource(_) => instance.resource(item, ResourceType::host::<Inert>(), |_, _| Ok(())),
        _ => Ok(()),
    }
}
