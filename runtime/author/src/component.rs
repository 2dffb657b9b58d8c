//! A component: a file, or what a plugin's folder builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domicile_sandbox::{Compiler, Plugin, Sandbox, SandboxLimits};
use domicile_types::PluginName;

use crate::AuthorError;
use crate::project::{Progress, Project};

/// The version of a component that no package names.
const NO_VERSION: &str = "0.0.0";

/// A component and what it is called here.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub(crate) path: PathBuf,
    pub(crate) name: PluginName,
    pub(crate) version: String,
    pub(crate) wasm: Vec<u8>,
}

/// Reads a component. A folder is built first.
pub(crate) fn open(path: &Path, progress: Progress) -> Result<Component, AuthorError> {
    if path.is_dir() {
        let project = Project::of(path)?;
        let name = project.package.replace('-', "_").parse()?;
        return read(project.component(progress)?, name, project.version);
    }
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().replace('-', "_"));
    read(path.to_path_buf(), stem.parse()?, NO_VERSION.to_owned())
}

fn read(path: PathBuf, name: PluginName, version: String) -> Result<Component, AuthorError> {
    let wasm = fs::read(&path).map_err(AuthorError::io(&path))?;
    Ok(Component { path, name, version, wasm })
}

impl Component {
    /// Loads it as a region does, under the limits of production: what a region would refuse is refused here.
    pub(crate) fn load(&self) -> Result<Arc<Plugin>, AuthorError> {
        let sandbox = Sandbox::new(SandboxLimits::default(), Compiler::InProcess)?;
        Ok(sandbox.load(self.name.clone(), &self.version, &self.wasm)?)
    }
}
