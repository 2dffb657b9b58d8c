//! `domicile sync`: how replication is, what is paused, and which rows were written at two places at once.

mod args;
mod members;

use domicile_wire::client::{full, now_unix_ms};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use self::args::ConflictsVerb;
pub(crate) use self::args::SyncVerb;
use crate::edge::Edge;
use crate::output::{Failure, Output, say, table, text};

pub(crate) async fn run(edge: &Edge, output: Output, verb: &SyncVerb) -> Result<(), Failure> {
    match verb {
        SyncVerb::Status => {
            let answer = edge.get("/v1/sync/status").await?;
            output.show(&answer, || status(&answer));
        }
        SyncVerb::Pause { set, from } => change(edge, output, "pause", set, from.as_deref()).await?,
        SyncVerb::Resume { set, from } => change(edge, output, "resume", set, from.as_deref()).await?,
        SyncVerb::Conflicts { verb: Some(ConflictsVerb::Replay { dataset, policy, origins, key }) } => {
            let mut wanted = url::form_urlencoded::Serializer::new(String::new());
            wanted.append_pair("dataset", dataset);
            for (name, value) in [("policy", policy), ("origins", origins), ("key", key)] {
                if let Some(value) = value {
                    wanted.append_pair(name, value);
                }
            }
            let answer = edge.get(&format!("/v1/sync/conflicts/replay?{}", wanted.finish())).await?;
            output.show(&answer, || replayed(&answer));
        }
        SyncVerb::Conflicts { verb: None } => {
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

/// Pauses a set, or lets it go on.
async fn change(edge: &Edge, output: Output, verb: &str, set: &str, from: Option<&str>) -> Result<(), Failure> {
    let body = full(json!({"set": set, "from": from}).to_string());
    let answer = edge.json(Method::POST, &format!("/v1/sync/{verb}"), HeaderMap::new(), body).await?;
    output.show(&answer, || match paused(&answer["paused"]).as_slice() {
        [] => say!("replication set {set} goes on in {}", text(&answer["region"])),
        lines => lines.iter().for_each(|line| say!("replication set {set}: {line}")),
    });
    Ok(())
}

/// What is paused, a line for each.
fn paused(paused: &Value) -> Vec<String> {
    let whole = paused["whole_since_ms"].as_u64().map(|since_ms| format!("paused here for {}", ago(since_ms)));
    let from = paused["from_since_ms"].as_object().into_iter().flatten();
    let from = from.filter_map(|(region, since_ms)| {
        Some(format!("what {region} writes is paused here for {}", ago(since_ms.as_u64()?)))
    });
    whole.into_iter().chain(from).collect()
}

fn ago(since_ms: u64) -> String {
    format!("{} s", now_unix_ms().saturating_sub(since_ms) / 1_000)
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
        if let Some(home) = set["home"].as_str() {
            say!("  {}", copies(home, &answer["region"], &set["behind_ms"]));
        }
        members::standing(set);
        if set["clock_ahead"] == true {
            say!("  this region's clock is ahead of the others', so it takes no rows of this set; set the clock right");
        }
        paused(&set["paused"]).iter().for_each(|line| say!("  {line}; `domicile sync resume` lets it go on"));
        if let Some(problem) = set["parked"].as_str() {
            say!("  entries wait that cannot be applied: {problem}");
        }
        let rows: Vec<Vec<String>> =
            items(&set["peers"]).map(|peer| vec![text(&peer["region"]), peer_state(peer)]).collect();
        table(&["region", "state"].map(str::to_owned), &rows);
        lags(set);
    }
}

/// How far the region is behind, by log.
fn lags(set: &Value) {
    let behind = |(_, lag): &(&String, &Value)| lag["batches"].as_u64().unwrap_or(0) > 0;
    let row = |(log, lag): (&String, &Value)| {
        let seconds = lag["seconds"].as_f64().unwrap_or(0.0);
        vec![log.clone(), format!("{seconds:.1} s"), text(&lag["batches"]), text(&lag["bytes"])]
    };
    let rows: Vec<Vec<String>> = set["logs"].as_object().into_iter().flatten().filter(behind).map(row).collect();
    match rows.is_empty() {
        true => say!("  everything that is known of has been applied"),
        false => table(&["log", "behind", "batches", "bytes"].map(str::to_owned), &rows),
    }
}

/// Whose rows a set has, and how old the copies are.
fn copies(home: &str, region: &Value, behind_ms: &Value) -> String {
    match behind_ms.as_u64() {
        _ if region == home => "the rows that live here; the others have copies".to_owned(),
        Some(behind_ms) => format!("copies of what lives in {home}, at most {:.1} s behind it", behind_ms as f64 / 1e3),
        None => format!("copies of what lives in {home}, not whole yet"),
    }
}

fn peer_state(peer: &Value) -> String {
    if let Some(refusal) = peer["refusal"].as_str() {
        return refusal.to_owned();
    }
    let Some(heard_ms) = peer["heard_ms_ago"].as_u64() else { return "not heard of yet".to_owned() };
    let mut state = format!("heard of {:.1} s ago", heard_ms as f64 / 1e3);
    if let Some(since_ms) = peer["paused_there_since_ms"].as_u64() {
        state += &format!(", asks for nothing: paused there for {}", ago(since_ms));
    }
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

fn replayed(answer: &Value) {
    let row = |replayed: &Value| {
        let differs = if replayed["differs"] == true { "another one" } else { "the same" };
        let shown = ["key", "winner_now", "winner_then", "reason_then"].map(|name| text(&replayed[name]));
        shown.into_iter().chain([differs.to_owned()]).collect()
    };
    let rows: Vec<Vec<String>> = items(&answer["conflicts"]).map(row).collect();
    if !rows.is_empty() {
        table(&["row", "counts now", "would count", "why", "that is"].map(str::to_owned), &rows);
    }
    let (differ, compared) = (text(&answer["differ"]), text(&answer["compared"]));
    say!("with `{}`, {differ} of {compared} conflicts would have come out differently", text(&answer["policy"]));
}
