//! What a component may import: the host's log, and the plumbing that standard libraries always ask for.
//!
//! The Rust and C standard libraries of WASI import parts of `wasi:cli` and `wasi:io` whether or not a plugin uses
//! them. Those parts are accepted and inert: the environment is empty, everything else traps when called.

use std::sync::Arc;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};

use crate::error::clip;
use crate::instance::HostState;
use crate::wit::{HOST_INTERFACE, Level, TYPES_INTERFACE};
use crate::{PluginId, SandboxError};

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

/// The plugin called something inert.
#[derive(Debug, thiserror::Error)]
#[error("it called `{0}`, which plugins are not given; use the log of `domicile:plugin/host`")]
pub(crate) struct InertCall(String);

/// Stands for every resource of an inert interface. None is ever made.
struct Inert;

/// A linker with what the component imports.
///
/// # Errors
/// Where an import is not among what plugins are given; the error names it.
pub(crate) fn link(component: &Component, plugin: &Arc<PluginId>) -> Result<Linker<HostState>, SandboxError> {
    let engine = component.engine();
    let refused = |import: String| SandboxError::ImportRefused { plugin: Arc::clone(plugin), import: clip(import) };
    let internal = |error: wasmtime::Error| SandboxError::Engine { detail: format!("{error:#}") };
    let mut linker = Linker::new(engine);
    define_log(&mut linker).map_err(internal)?;
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            return Err(refused(name.to_owned()));
        };
        if [HOST_INTERFACE, TYPES_INTERFACE].contains(&name) {
            for (item, export) in interface.exports(engine) {
                let known = matches!(export.ty, ComponentItem::Type(_)) || (name == HOST_INTERFACE && item == "log");
                if !known {
                    return Err(refused(format!("{name}#{item}")));
                }
            }
        } else if is_inert(name) {
            let mut instance = linker.instance(name).map_err(internal)?;
            for (item, export) in interface.exports(engine) {
                define_inert(&mut instance, name, item, &export.ty).map_err(internal)?;
            }
        } else {
            return Err(refused(name.to_owned()));
        }
    }
    Ok(linker)
}

fn define_log(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.instance(HOST_INTERFACE)?.func_wrap("log", |mut store, (level, message): (Level, String)| {
        store.data_mut().log(level, message);
        Ok(())
    })
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
            instance.func_new(item, move |_, _, _, _| Err(InertCall(name.clone()).into()))
        }
        ComponentItem::Resource(_) => instance.resource(item, ResourceType::host::<Inert>(), |_, _| Ok(())),
        _ => Ok(()),
    }
}
