//! A look at a component before it is compiled: which world it belongs to, what it imports, and whether its code is of
//! a size that compiles in reasonable time.

use std::sync::Arc;

use domicile_types::limits;
use wasmparser::{BinaryReaderError, Encoding, FunctionBody, Parser, Payload};

use crate::contract::{Named, World, read_name};
use crate::error::clip;
use crate::imports::{Import, read_import};
use crate::{PluginId, SandboxError};

/// How every WebAssembly file begins.
const MAGIC: &[u8] = b"\0asm";

/// What a component is.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) world: World,
    /// The interface of the world, as the component names it.
    pub(crate) interface: String,
}

/// What is found on the way through a component.
#[derive(Default)]
struct Found {
    imports: Vec<String>,
    exports: Vec<String>,
    parts: usize,
    functions: usize,
    items: usize,
    debug_bytes: usize,
}

/// Why a component goes no further.
enum Refused {
    Malformed(String),
    TooLarge { what: &'static str, found: usize, limit: usize },
}

impl From<BinaryReaderError> for Refused {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads a component.
///
/// # Errors
/// Where it is none, its code is too large, its world is unknown, or it imports what its world is not given.
pub(crate) fn inspect(plugin: &Arc<PluginId>, wasm: &[u8]) -> Result<Inspection, SandboxError> {
    let found = read(wasm).map_err(|refused| match refused {
        Refused::Malformed(detail) => {
            SandboxError::ComponentMalformed { plugin: Arc::clone(plugin), detail: clip(detail) }
        }
        Refused::TooLarge { what, found, limit } => {
            SandboxError::CodeTooLarge { plugin: Arc::clone(plugin), what, found, limit }
        }
    })?;
    let unspoken =
        |item: &str| SandboxError::ContractUnspoken { plugin: Arc::clone(plugin), item: clip(item.to_owned()) };
    let names = found.imports.iter().chain(&found.exports);
    if let Some(name) = names.into_iter().find(|name| read_name(name) == Named::Unspoken) {
        return Err(unspoken(name));
    }
    let (world, interface) = world(plugin, &found.exports)?;
    for name in &found.imports {
        match read_import(world, name) {
            Import::Given(_) | Import::Inert => (),
            Import::Unspoken => return Err(unspoken(name)),
            Import::Refused => {
                let import = clip(name.clone());
                return Err(SandboxError::ImportRefused { plugin: Arc::clone(plugin), import });
            }
        }
    }
    Ok(Inspection { world, interface })
}

fn world(plugin: &Arc<PluginId>, exports: &[String]) -> Result<(World, String), SandboxError> {
    let worlds: Vec<_> = exports
        .iter()
        .filter_map(|name| match read_name(name) {
            Named::Ours(interface) => Some((World::of_interface(interface)?, name.clone())),
            _ => None,
        })
        .collect();
    let unknown = |detail: String| SandboxError::WorldUnknown { plugin: Arc::clone(plugin), detail };
    match worlds.as_slice() {
        [world] => Ok(world.clone()),
        [] => {
            let names = World::ALL.map(|world| format!("`{}`", world.name())).join(", ");
            Err(unknown(format!("it exports none of {names}")))
        }
        [(first, _), (second, _), ..] => {
            Err(unknown(format!("it exports both `{}` and `{}`: make two plugins", first.name(), second.name())))
        }
    }
}

fn read(wasm: &[u8]) -> Result<Found, Refused> {
    if !wasm.starts_with(MAGIC) {
        return Err(Refused::Malformed("it does not begin like a WebAssembly file".to_owned()));
    }
    let mut found = Found::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 && found.parts == 0 => {
                return Err(Refused::Malformed("it is a core module, not a component".to_owned()));
            }
            Payload::Version { .. } => found.parts += 1,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) => {
                found.items += section.count() as usize;
                if depth == 0 {
                    for import in section {
                        found.imports.push(import?.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                found.items += section.count() as usize;
                if depth == 0 {
                    for export in section {
                        found.exports.push(export?.name.name.to_owned());
                    }
                }
            }
            other => count(&mut found, &other)?,
        }
        within(&found)?;
    }
    Ok(found)
}

/// Counts what a section of code has.
fn count(found: &mut Found, payload: &Payload<'_>) -> Result<(), Refused> {
    let items = match payload {
        Payload::FunctionSection(section) => {
            found.functions += section.count() as usize;
            0
        }
        Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
            found.debug_bytes += section.data().len();
            0
        }
        Payload::CodeSectionEntry(body) => return body_within(body),
        Payload::InstanceSection(section) => {
            found.parts += section.count() as usize;
            0
        }
        Payload::ComponentInstanceSection(section) => {
            found.parts += section.count() as usize;
            0
        }
        Payload::TypeSection(section) => section.count(),
        Payload::ImportSection(section) => section.count(),
        Payload::ExportSection(section) => section.count(),
        Payload::GlobalSection(section) => section.count(),
        Payload::TableSection(section) => section.count(),
        Payload::MemorySection(section) => section.count(),
        Payload::TagSection(section) => section.count(),
        Payload::ElementSection(section) => section.count(),
        Payload::DataSection(section) => section.count(),
        Payload::CoreTypeSection(section) => section.count(),
        Payload::ComponentTypeSection(section) => section.count(),
        Payload::ComponentAliasSection(section) => section.count(),
        Payload::ComponentCanonicalSection(section) => section.count(),
        _ => 0,
    };
    found.items += items as usize;
    Ok(())
}

fn body_within(body: &FunctionBody<'_>) -> Result<(), Refused> {
    let bytes = body.as_bytes().len();
    at_most("bytes in one function", bytes, limits::PLUGIN_CODE_FUNCTION_BYTES_MAX)?;
    let mut locals = 0_usize;
    for group in body.get_locals_reader()? {
        let (count, _) = group?;
        locals = locals.saturating_add(count as usize);
    }
    at_most("local variables in one function", locals, limits::PLUGIN_CODE_LOCALS_MAX)
}

fn within(found: &Found) -> Result<(), Refused> {
    at_most("modules, components and instances", found.parts, limits::PLUGIN_CODE_PARTS_MAX)?;
    at_most("functions", found.functions, limits::PLUGIN_CODE_FUNCTIONS_MAX)?;
    at_most("types, imports, exports and segments", found.items, limits::PLUGIN_CODE_ITEMS_MAX)?;
    at_most("bytes of debug information", found.debug_bytes, limits::PLUGIN_DEBUG_BYTES_MAX)
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), Refused> {
    if found <= limit { Ok(()) } else { Err(Refused::TooLarge { what, found, limit }) }
}
