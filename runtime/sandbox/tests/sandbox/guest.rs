//! The components of `guest/`, built once a process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use domicile_sandbox::{Plugin, Sandbox, SandboxError, SandboxLimits};

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

fn components() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("guest");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2", "--target-dir"])
            .arg(&target)
            .current_dir(sources())
            .status()
            .unwrap();
        assert!(status.success(), "the guests do not build");
        target.join("wasm32-wasip2/release")
    })
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(SandboxLimits::default()).unwrap()
}

/// Loads a component under the last part of its crate's name.
pub(crate) fn try_load(sandbox: &Sandbox, component_name: &str) -> Result<Arc<Plugin>, SandboxError> {
    let name = component_name.strip_prefix("hostile_").unwrap_or(component_name);
    sandbox.load(name.parse().unwrap(), VERSION, &component(component_name))
}

pub(crate) fn load(sandbox: &Sandbox, component_name: &str) -> Arc<Plugin> {
    try_load(sandbox, component_name).unwrap()
}
