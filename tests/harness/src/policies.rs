//! Permissive policies for tests of the engine: the project's own residency, with everything admitted.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::regions::read_toml;
use crate::workspace::REGIONS;

/// Functions that the tests' questions call, as a clause names them.
pub const FUNCTIONS: [&str; 29] = [
    // Of the engine and the project's own plugins:
    "approx_quantile",
    "avg",
    "basket",
    "case",
    "cohort",
    "count",
    "date_trunc",
    "max",
    "min",
    "net_revenue",
    "power",
    "product",
    "price_band",
    "rfm",
    // The same one under other names:
    "rfm_beside",
    "rfm_shared",
    "rfm_turns",
    "sum",
    "within",
    // Of hostile plugins:
    "confides",
    "endless",
    "fails",
    "garbles",
    "hoard",
    "lies",
    "panics",
    "passes",
    "ponders",
    "spin",
];

/// Copies the policies of `from` to `to` as they are.
///
/// # Errors
/// Where one cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Writes a copy of every policy in `from` to `to` that admits every column, as an identifier too, suppresses nothing,
/// and approves plugins by these digests. Residency and classes stay as they are.
///
/// # Errors
/// Where a policy cannot be read or written.
pub fn write_permissive(from: &Path, to: &Path, approved: &[String]) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|kind| kind == "toml")) else {
            continue;
        };
        let mut policy = read_toml(&path)?;
        let clause = permissive_clause(&policy, approved);
        policy.insert("allow".to_owned(), Value::Array(vec![Value::Table(clause)]));
        fs::write(to.join(name), toml::to_string(&policy)?)?;
    }
    Ok(())
}

fn permissive_clause(policy: &Table, approved: &[String]) -> Table {
    let classes = policy.get("classes").and_then(Value::as_table).into_iter().flatten();
    let columns: Vec<&str> =
        classes.filter_map(|(_, columns)| columns.as_array()).flatten().filter_map(Value::as_str).collect();
    let texts = |list: &[&str]| Value::Array(list.iter().map(|text| Value::String((*text).to_owned())).collect());
    let members = [
        ("id", Value::String("everything".to_owned())),
        ("from", texts(&REGIONS)),
        ("to", texts(&REGIONS)),
        ("form", Value::String("aggregate".to_owned())),
        ("identifiers", Value::Boolean(true)),
        ("functions", texts(&FUNCTIONS)),
        ("plugins", Value::Array(approved.iter().cloned().map(Value::String).collect())),
        ("group_by", texts(&columns)),
        ("filter_by", texts(&columns)),
        ("measures", texts(&columns)),
        ("minimum_entities", Value::Integer(1)),
        ("legal_basis", Value::String("synthetic data, for tests".to_owned())),
    ];
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The purpose under which the policies of [`by_purpose`] guard as they do, and that under which they guard nothing.
pub const PURPOSES: [&str; 2] = ["guarded", "unguarded"];

/// Names and texts of the policies in `from`, with each clause once for each of [`PURPOSES`].
///
/// # Errors
/// Where a policy cannot be read.
pub fn by_purpose(from: &Path) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_stem().filter(|_| path.extension().is_some_and(|kind| kind == "toml")) else {
            continue;
        };
        let mut policy = read_toml(&path)?;
        if let Some(Value::Array(clauses)) = policy.get_mut("allow") {
            *clauses = clauses.drain(..).filter_map(|clause| clause.try_into::<Table>().ok()).flat_map(twice).collect();
        }
        texts.push((name.to_string_lossy().into_owned(), toml::to_string(&policy)?));
    }
    Ok(texts)
}

fn twice(clause: Table) -> [Value; 2] {
    PURPOSES.map(|purpose| {
        let mut clause = clause.clone();
        clause.insert("id".to_owned(), Value::String(purpose.to_owned()));
        clause.insert("purposes".to_owned(), Value::Array(vec![Value::String(purpose.to_owned())]));
        if purpose == PURPOSES[1] {
            clause.insert("minimum_entities".to_owned(), Value::Integer(1));
            clause.insert("difference_checks".to_owned(), Value::Boolean(false));
            clause.remove("dominance_percent");
        }
        Value::Table(clause)
    })
}
