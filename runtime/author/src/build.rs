//! `plugin build`: from source to a component that a region would take.

use std::fmt;
use std::path::{Path, PathBuf};

use domicile_types::Digest;
use serde_json::{Value as Json, json};

use crate::component::{self, Component};
use crate::project::Progress;
use crate::{AuthorError, interface_text};

/// A component that was built and loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size, in bytes.
    pub bytes: usize,
    /// Its digest, by which regions tell it apart.
    pub sha256: Digest,
    /// Its name, from the package.
    pub name: String,
    /// Its version, from the package.
    pub version: String,
    /// Its world.
    pub world: &'static str,
    /// What it offers, a line each.
    pub provides: Vec<String>,
}

/// Builds the plugin of a folder and loads it under the limits of production.
///
/// # Errors
/// Where it does not compile, or a region would refuse it.
pub fn build(folder: &Path, progress: Progress) -> Result<Built, AuthorError> {
    if !folder.is_dir() {
        return Err(AuthorError::NoPackage { folder: folder.to_path_buf() });
    }
    let component: Component = component::open(folder, progress)?;
    let plugin = component.load()?;
    Ok(Built {
        bytes: component.wasm.len(),
        path: component.path,
        sha256: plugin.id().digest,
        name: component.name.to_string(),
        version: component.version,
        world: plugin.interface().world(),
        provides: interface_text::provides(plugin.interface()),
    })
}

impl Built {
    /// The component as JSON.
    pub fn to_json(&self) -> Json {
        json!({
            "path": self.path.display().to_string(),
            "bytes": self.bytes,
            "sha256": self.sha256.to_string(),
            "name": self.name,
            "version": self.version,
            "world": self.world,
            "provides": self.provides,
        })
    }
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "  {} {}, {} bytes, sha256 {}", self.name, self.version, self.bytes, self.sha256)?;
        write!(f, "  world {}", self.world)?;
        self.provides.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}
