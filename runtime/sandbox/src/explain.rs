//! What an error of the engine means to the people who read it.

use std::sync::Arc;

use domicile_types::limits::PLUGIN_HANDLES_MAX;
use wasmtime::{Trap, WasmBacktrace};

use crate::SandboxError;
use crate::error::clip;
use crate::host::HostState;
use crate::instance::Origin;
use crate::limit::{Limit, Place};
use crate::refusal::Refusal;

/// What a trap says where the engine only tells that the plugin broke one of its rules.
const RULE_BROKEN: &str = "it broke a rule of the component model";

/// The error for a call, or a start, that the engine ended.
pub(crate) fn explain(origin: &Origin, function: &str, state: &mut HostState, error: &wasmtime::Error) -> SandboxError {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let place: Box<Place> = Box::new(backtrace.map(place).unwrap_or_default());
    let (plugin, function) = (Arc::clone(&origin.id), function.to_owned());
    let reached = |limit: Limit, place: Box<Place>| SandboxError::LimitReached {
        plugin: Arc::clone(&plugin),
        function: function.clone(),
        limit,
        place,
    };
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::Limit(limit)) => return reached(*limit, place),
        Some(Refusal::Misuse { import, detail }) => {
            return SandboxError::Misused { plugin, function, import, detail: detail.clone(), place };
        }
        Some(refusal @ Refusal::Inert(_)) => {
            let (trap, message) = (refusal.to_string(), state.take_critical());
            return SandboxError::Trapped { plugin, function, trap, message, place };
        }
        None => (),
    }
    let limits = &origin.runtime.limits;
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => reached(Limit::Stack(limits.stack_bytes_max), place),
        Some(Trap::OutOfFuel) => reached(Limit::Fuel(limits.merge_fuel_max), place),
        Some(Trap::Interrupt) => reached(Limit::Time(limits.call_timeout), place),
        Some(trap) => {
            if let Some(backtrace) = backtrace {
                tracing::warn!(plugin = %plugin, function, %trap, %backtrace, "plugin trapped");
            }
            let message = state.take_critical();
            let place = if message.is_some() { Box::default() } else { place };
            SandboxError::Trapped { plugin, function, trap: trap.to_string(), message, place }
        }
        None if says(error, OUTPUT_LIMIT) => reached(Limit::OutputBytes(limits.output_bytes_max), place),
        None if says(error, HANDLE_LIMIT) => reached(Limit::Handles(PLUGIN_HANDLES_MAX), place),
        None => {
            let message = Some(clip(format!("{RULE_BROKEN}: {}", error.root_cause())));
            SandboxError::Trapped { plugin, function, trap: RULE_BROKEN.to_owned(), message, place }
        }
    }
}

// The engine's types for these errors are private, so its words are all there is; the tests with `piles` and `grasps`
// guard them.
const OUTPUT_LIMIT: &str = "fuel allocated for hostcalls has been exhausted";
const HANDLE_LIMIT: &str = "store handle limit exceeded";

fn says(error: &wasmtime::Error, words: &str) -> bool {
    error.root_cause().to_string().contains(words)
}

/// The innermost function that is the plugin's own code, not that of its language's libraries; where it was built into
/// another one, too.
fn place(backtrace: &WasmBacktrace) -> Place {
    let mut places = backtrace.frames().iter().flat_map(|frame| {
        let inlined = frame.symbols().iter().map(|symbol| {
            let line = symbol.line().map_or_else(String::new, |line| format!(":{line}"));
            let line = symbol.file().map(|file| clip(format!("{file}{line}")));
            Place { function: symbol.name().or_else(|| frame.func_name()).map(demangled), line }
        });
        let without_lines =
            frame.symbols().is_empty().then(|| Place { function: frame.func_name().map(demangled), line: None });
        inlined.chain(without_lines).filter(|place| *place != Place::default()).collect::<Vec<_>>()
    });
    let mut innermost = None;
    for place in &mut places {
        if !place.function.as_deref().is_some_and(is_library) {
            return place;
        }
        innermost.get_or_insert(place);
    }
    innermost.unwrap_or_default()
}

fn demangled(name: &str) -> String {
    // The alternate form leaves out the hash.
    clip(format!("{:#}", rustc_demangle::demangle(name)))
}

fn is_library(name: &str) -> bool {
    let path = name.trim_start_matches(['<', '_']);
    ["core::", "core[", "std::", "std[", "alloc::", "alloc[", "rust_", "rustc", "dlmalloc", "abort"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}
