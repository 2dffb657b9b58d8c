//! The components of `guest/`, built once a process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use domicile_sandbox::{Compiler, Plugin, Sandbox, SandboxError, SandboxLimits};

pub(crate) const VERSION: &str = "1.2.3";

/// The folder with the guests' sources.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest")
}

/// The bytes of a component, by the name of its crate with `_` for `-`.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let path = components().join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes of a hostile component that is written as text.
pub(crate) fn text_component(name: &str) -> Vec<u8> {
    wat::parse_str(text(name)).unwrap()
}

/// The text of a hostile component.
pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(sources().join("hostile").join(name).join("plugin.wat")).unwrap()
}

/// The bytes of a component that tells its source lines, which those for regions do not.
pub(crate) fn component_with_lines(name: &str) -> Vec<u8> {
    let path = build(&["--package", &name.replace('_', "-")]).join("debug").join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn components() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build(&["--workspace", "--release"]).join("release"))
}

/// The folder of the target, with one for each profile.
fn build(selection: &[&str]) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("guest");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .args(selection)
        .current_dir(sources())
        .status()
        .unwrap();
    assert!(status.success(), "the guests do not build");
    target.join("wasm32-wasip2")
}

pub(crate) fn limited(limits: SandboxLimits) -> Sandbox {
    Sandbox::new(limits, Compiler::InProcess).unwrap()
}

pub(crate) fn sandbox() -> Sandbox {
    limited(SandboxLimits::default())
}

/// Loads a component under the last part of its crate's name.
pub(crate) fn try_load(sandbox: &Sandbox, component_name: &str) -> Result<Arc<Plugin>, SandboxError> {
    let name = component_name.strip_prefix("hostile_").unwrap_or(component_name);
    sandbox.load(name.parse().unwrap(), VERSION, &component(component_name))
}

pub(crate) fn load(sandbox: &Sandbox, component_name: &str) -> Arc<Plugin> {
    try_load(sandbox, component_name).unwrap()
}
