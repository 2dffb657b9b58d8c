//! `plugin new`: a crate that compiles, passes its tests and shows the way.

mod vendor;

use std::fs;
use std::path::{Path, PathBuf};

use domicile_types::PluginName;

use crate::AuthorError;

/// What a plugin is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Functions for SQL.
    Functions,
    /// From the rows of one entity to a few declared values.
    Mapper,
    /// A question with a name.
    Query,
    /// Resolves conflicts between versions of a row.
    Merge,
}

impl World {
    /// All worlds.
    pub const ALL: [Self; 4] = [Self::Functions, Self::Mapper, Self::Query, Self::Merge];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::Mapper => "mapper",
            Self::Query => "query",
            Self::Merge => "merge",
        }
    }
}

/// What is to be made.
#[derive(Debug, Clone)]
pub struct NewOptions {
    /// The plugin's name.
    pub name: String,
    /// Its world.
    pub world: World,
    /// The folder to make; one of the plugin's name by default.
    pub path: Option<PathBuf>,
}

type Files = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($($path:literal),*) => { &[$(($path, include_str!(concat!("../../templates/", $path)))),*] };
}

const COMMON: Files = template!["common/Cargo.toml", "common/README.md", "common/gitignore"];
const FUNCTIONS: Files = template![
    "functions/src/lib.rs",
    "functions/tests/discounts/case.toml",
    "functions/tests/discounts/input.csv",
    "functions/tests/discounts/expected.csv",
    "functions/tests/averages/case.toml",
    "functions/tests/averages/input.csv",
    "functions/tests/averages/expected.csv"
];
const MAPPER: Files = template![
    "mapper/src/lib.rs",
    "mapper/tests/spenders/case.toml",
    "mapper/tests/spenders/input.csv",
    "mapper/tests/spenders/expected.csv"
];
const QUERY: Files = template![
    "query/src/lib.rs",
    "query/tests/revenue/case.toml",
    "query/tests/revenue/input.csv",
    "query/tests/revenue/expected.csv"
];
const MERGE: Files = template![
    "merge/src/lib.rs",
    "merge/tests/stock/case.toml",
    "merge/tests/stock/input.csv",
    "merge/tests/stock/expected.csv"
];

/// Makes the crate and returns its folder. The SDK lies in it under `vendor/domicile`, so that it builds without
/// anything of this project at hand.
///
/// # Errors
/// Where the name is no plugin's, something is in the way, or the folder cannot be written.
pub fn create(options: &NewOptions) -> Result<PathBuf, AuthorError> {
    let name: PluginName = options.name.parse()?;
    let folder = options.path.clone().unwrap_or_else(|| PathBuf::from(name.as_str()));
    if folder.symlink_metadata().is_ok() {
        return Err(AuthorError::Exists { path: folder });
    }
    let own = match options.world {
        World::Functions => FUNCTIONS,
        World::Mapper => MAPPER,
        World::Query => QUERY,
        World::Merge => MERGE,
    };
    for (path, text) in COMMON.iter().chain(own) {
        let path = path.split_once('/').map_or(*path, |(_, path)| path);
        let path = if path == "gitignore" { ".gitignore" } else { path };
        let text = text.replace("{{name}}", name.as_str()).replace("{{world}}", options.world.name());
        write(&folder.join(path), &text)?;
    }
    vendor::write_all(&folder)?;
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Result<(), AuthorError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(AuthorError::io(parent))?;
    }
    fs::write(path, text).map_err(AuthorError::io(path))
}
