//! Three regions that replicate a catalog over a network which can be cut, and what they show in the end.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
pub use domicile_harness::replicated::{
    EVENTS, ITEMS, TOGETHER_TIMEOUT, Vector, applied, await_together, delete, put, rows, status,
};
use domicile_harness::{Cluster, Edge, Options, build, replicated};
use serde_json::Value;

use crate::versions::{Listed, Shown};

/// Starts the regions, and waits until they are members of their set.
///
/// # Errors
/// Where one does not get ready.
pub fn start(options: Options) -> Result<Cluster> {
    let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &replicated::options(options))?;
    replicated::await_members(&cluster)?;
    Ok(cluster)
}

/// The items and conflicts that a region shows.
///
/// # Errors
/// Where it does not, or a conflict cannot be read.
pub fn shown(edge: &Edge) -> Result<Shown> {
    let listed = edge.get("/v1/sync/conflicts")?.json()?;
    let listed = listed["conflicts"].as_array().context("no list of conflicts")?;
    let conflicts = listed.iter().map(|conflict| read_conflict(conflict).with_context(|| format!("{conflict}")));
    let (rows, conflicts) = (rows(edge, ITEMS)?, conflicts.collect::<Result<_>>()?);
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    ensure!(rows.len() == count, "a key is there twice");
    Ok(Shown { rows, conflicts })
}

fn read_conflict(conflict: &Value) -> Result<Listed> {
    ensure!(conflict["dataset"] == ITEMS, "rows without a key cannot meet");
    let key: Vec<String> = serde_json::from_str(conflict["key"].as_str().context("no key")?)?;
    let rows: Vec<Value> = serde_json::from_str(conflict["rows"].as_str().context("no rows")?)?;
    let dots = conflict["versions"].as_array().context("no versions")?;
    ensure!(dots.len() == rows.len(), "not as many rows as versions");
    let version = |(dot, row): (&Value, &Value)| {
        let (log, number) = dot.as_str().and_then(|dot| dot.split_once(':')).context("a version without a number")?;
        Ok((log.to_owned(), number.parse()?, row["label"].as_str().map(str::to_owned)))
    };
    let key = key.first().context("an empty key")?.parse()?;
    Ok(Listed { key, versions: dots.iter().zip(&rows).map(version).collect::<Result<_>>()? })
}
