//! `domicile sync`: how replication is, and which rows were written at two places at once.

mod members;

use domicile_wire::client::full;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::args::SyncVerb;
use crate::edge::Edge;
use crate::output::{Failure, Output, say, table, text};

pub(crate) async fn run(edge: &Edge, output: Output, verb: &SyncVerb) -> Result<(), Failure> {
    match verb {
        SyncVerb::Status => {
            let answer = edge.get("/v1/sync/status").await?;
            output.show(&answer, || status(&answer));
        }
        SyncVerb::Conflicts => {
            let answer = edge.get("/v1/sync/conflicts").await?;
            output.show(&answer, || conflicts(&answer));
        }
        SyncVerb::Resolve { dataset, key, version } => {
            let wanted = json!({"dataset": dataset, "key": key, "version": version});
            let body = full(wanted.to_string());
            let answer = edge.json(Method::POST, "/v1/sync/conflicts/resolve", HeaderMap::new(), body).await?;
            output.show(&answer, || say!("{dataset} {key}: version {version} counts, written anew"));
        }
        SyncVerb::Fence { region, set, yes } => members::fence(edge, output, region, set.as_deref(), *yes).await?,
        SyncVerb::Quarantine(verb) => members::quarantine(edge, output, verb).await?,
    }
    Ok(())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn status(answer: &Value) {
    if items(&answer["sets"]).next().is_none() {
        say!("region {} replicates nothing; see `replication` in the README", text(&answer["region"]));
    }
    for set in items(&answer["sets"]) {
        let datasets: Vec<String> = items(&set["datasets"]).map(text).collect();
        say!("replication set {}: {}", text(&set["set"]), datasets.join(", "));
        members::standing(set);
        if set["clock_ahead"] == true {
            say!("  this region's clock is ahead of the others', so it takes no rows of this set; set the clock right");
        }
        if let Some(problem) = set["parked"].as_str() {
            say!("  entries wait that cannot be applied: {problem}");
        }
        let rows: Vec<Vec<String>> =
            items(&set["peers"]).map(|peer| vec![text(&peer["region"]), peer_state(peer)]).collect();
        table(&["region", "state"].map(str::to_owned), &rows);
    }
}

fn peer_state(peer: &Value) -> String {
    if let Some(refusal) = peer["refusal"].as_str() {
        return refusal.to_owned();
    }
    let Some(heard_ms) = peer["heard_ms_ago"].as_u64() else { return "not heard of yet".to_owned() };
    let mut state = format!("heard of {:.1} s ago", heard_ms as f64 / 1e3);
    if let Some(behind) = peer["entries_behind"].as_u64().filter(|behind| *behind > 0) {
        state += &format!(", this region is {behind} entries behind it");
    }
    if let Some(kept) = peer["kept_bytes"].as_u64().filter(|kept| *kept > 0) {
        state += &format!(", {kept} bytes are kept for it");
    }
    state
}

fn conflicts(answer: &Value) {
    let row = |conflict: &Value| {
        let versions: Vec<String> = items(&conflict["versions"]).map(text).collect();
        let dataset = format!("{} {}", text(&conflict["dataset"]), text(&conflict["key"]));
        vec![dataset, versions.join(", "), text(&conflict["winner"]), text(&conflict["reason"])]
    };
    let rows: Vec<Vec<String>> = items(&answer["conflicts"]).map(row).collect();
    if rows.is_empty() {
        say!("no row was written at two places at once");
        return;
    }
    table(&["row", "versions", "counts", "why"].map(str::to_owned), &rows);
}
