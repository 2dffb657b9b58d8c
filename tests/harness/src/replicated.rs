//! Three regions that replicate a catalog over a network which can be cut, and what they say of themselves.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::workspace::REGIONS;
use crate::{Cluster, Edge, Options, Response};

/// By log, up to which number its entries were applied.
pub type Vector = BTreeMap<String, u64>;

/// Rows with a key, which are written over and deleted.
pub const ITEMS: &str = "item";
/// Rows without one, which only become more.
pub const EVENTS: &str = "event";
/// Longest that regions may take to come together once everything works: one that was away is asked again after a while.
pub const TOGETHER_TIMEOUT: Duration = Duration::from_secs(120);
/// How often regions are looked at meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// The same, with what such regions need.
#[must_use]
pub fn options(options: Options) -> Options {
    let dataset = |name: &str, key: &str| {
        let column = |name: &str, kind: &str| format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n");
        let columns = [column("id", "bigint"), column("label", "text")].concat();
        let text = format!("schema = 1\nname = \"{name}\"\nreference = true\nprimary_key = [{key}]\n{columns}");
        (name.to_owned(), text)
    };
    let regions = REGIONS.map(|region| format!("\"{region}\"")).join(", ");
    let set =
        format!("schema = 1\nname = \"catalog\"\nregions = [{regions}]\ndatasets = [\"{ITEMS}\", \"{EVENTS}\"]\n");
    Options {
        datasets: vec![dataset(ITEMS, "\"id\""), dataset(EVENTS, "")],
        replication: vec![("catalog".to_owned(), set)],
        links: true,
        ..options
    }
}

/// Writes a row.
///
/// # Errors
/// Where the edge cannot be reached.
pub fn put(edge: &Edge, dataset: &str, id: i64, label: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let row = serde_json::json!({"id": id, "label": label}).to_string();
    edge.rows("POST", dataset, &[&[NDJSON], headers].concat(), row.as_bytes())
}

/// Deletes an item.
///
/// # Errors
/// Where the edge cannot be reached.
pub fn delete(edge: &Edge, id: i64) -> Result<Response> {
    edge.rows("DELETE", ITEMS, &[NDJSON], serde_json::json!({"id": id}).to_string().as_bytes())
}

/// What the edge says of its replication set.
///
/// # Errors
/// Where it says nothing.
pub fn status(edge: &Edge) -> Result<Value> {
    let status = edge.get("/v1/sync/status")?.json()?;
    Ok(status["sets"].get(0).context("no replication set")?.clone())
}

/// What a region has applied.
///
/// # Errors
/// As for [`status`].
pub fn applied(edge: &Edge) -> Result<Vector> {
    let status = status(edge)?;
    let numbers = status["applied"].as_object().context("no vector")?;
    Ok(numbers.iter().filter_map(|(log, number)| Some((log.clone(), number.as_u64()?))).collect())
}

/// All rows of a dataset as an edge sees them: ids and labels.
///
/// # Errors
/// Where the question is not answered.
pub fn rows(edge: &Edge, dataset: &str) -> Result<Vec<(i64, String)>> {
    let answer = edge.query(&format!("SELECT id, label FROM {dataset} ORDER BY id, label"))?;
    // A region that has nothing of it yet says so, as others have.
    if answer.status == 409 {
        return Ok(Vec::new());
    }
    let row = |row: &Value| Some((row["id"].as_i64()?, row["label"].as_str()?.to_owned()));
    answer.answer()?.rows().iter().map(row).collect::<Option<_>>().context("a row without a number and a text")
}

/// Waits until every region has heard from all others that it is a member of its set: until then no link may be cut.
///
/// # Errors
/// Where one does not in time.
pub fn await_members(cluster: &Cluster) -> Result<()> {
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    for region in REGIONS {
        let edge = cluster.edge(region);
        loop {
            let status = status(&edge)?;
            if status["standing"] == "member" {
                break;
            }
            ensure!(Instant::now() < deadline, "{region} is no member of its set: {status:#}");
            thread::sleep(POLL_INTERVAL);
        }
    }
    Ok(())
}

/// Waits until all regions have applied the same. Says what.
///
/// # Errors
/// Where they do not in time.
pub fn await_together(cluster: &Cluster) -> Result<Vector> {
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    loop {
        let all = REGIONS.map(|region| status(&cluster.edge(region)));
        let all = all.into_iter().collect::<Result<Vec<_>>>()?;
        if all.iter().all(|status| status["waiting"] == 0 && status["applied"] == all[0]["applied"]) {
            return applied(&cluster.edge(REGIONS[0]));
        }
        ensure!(Instant::now() < deadline, "the regions do not come together: {all:#?}");
        thread::sleep(POLL_INTERVAL);
    }
}
