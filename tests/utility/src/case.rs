//! The questions, as `cases/*.toml` has them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use serde::Deserialize;

/// One question.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it asks for, in a few words; no two have the same.
    pub name: String,
    /// The region that is asked.
    pub edge: String,
    /// What the answer is for, where a policy wants to know.
    pub purpose: Option<String>,
    /// The SQL as an analyst writes it.
    pub question: String,
    /// The same for SQLite, where the usual translation does not do.
    pub sqlite: Option<String>,
    /// How the question groups, where that cannot be read off it: SQL for `home`, `entity`, `keys` group keys, and then
    /// what the entity adds to each aggregate.
    pub groups: Option<Groups>,
    /// How far approximate numbers may be off, as a share; exact if absent.
    pub tolerance: Option<f64>,
}

/// How a question groups.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// Group keys among the columns of `sql`.
    pub keys: usize,
    /// What each entity adds to each group.
    pub sql: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// Every case, in the order of the files' names.
///
/// # Errors
/// Where a file cannot be read or says something else, names a region that there is not, or repeats a name.
pub fn all() -> Result<Vec<Case>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let (mut cases, mut names) = (Vec::new(), BTreeSet::new());
    for file in files {
        let text = fs::read_to_string(&file)?;
        let File { case } = toml::from_str(&text).with_context(|| file.display().to_string())?;
        for case in case {
            ensure!(names.insert(case.name.clone()), "{}: `{}` comes twice", file.display(), case.name);
            ensure!(REGIONS.contains(&case.edge.as_str()), "{}: there is no region `{}`", case.name, case.edge);
            cases.push(case);
        }
    }
    Ok(cases)
}
