//! Who takes part in a replication set, regions that are given up, and entries that were set aside.

use domicile_wire::client::full;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::args::QuarantineVerb;
use super::items;
use crate::edge::Edge;
use crate::output::{Failure, Output, say, table, text};

/// Shows whether this region takes part, which logs have ended, and what was set aside.
pub(super) fn standing(set: &Value) {
    let missing = match set["snapshot_bytes_missing"].as_u64() {
        Some(bytes) => format!("{bytes} bytes of it are still to come"),
        None => "another region is asked for one".to_owned(),
    };
    match set["standing"].as_str() {
        Some("unsure") => say!(
            "  this region has nothing of it yet and asks all others whether it ever wrote; until they have answered, it takes no rows"
        ),
        Some("new") => say!("  this region is new or lost what it had, and starts from a snapshot: {missing}"),
        Some("behind") => {
            say!("  this region was away too long, and starts from a snapshot: {missing}");
        }
        Some("given-up") => {
            say!("  this region was given up by another one, and comes back with a snapshot: {missing}");
        }
        _ => {}
    }
    if let Some(problem) = set["problem"].as_str() {
        say!("  {problem}");
    }
    let ended: Vec<String> = set["ended"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(log, last)| format!("{log} after entry {}", text(last)))
        .collect();
    if !ended.is_empty() {
        say!("  logs that have ended: {}", ended.join(", "));
    }
    let ending: Vec<String> = items(&set["ending"]).map(text).collect();
    if !ending.is_empty() {
        say!("  logs that end once all other regions have been reached: {}", ending.join(", "));
    }
    if let Some(count) = set["set_aside"].as_u64().filter(|count| *count > 0) {
        say!("  {count} entries are set aside and count nowhere; see `domicile sync quarantine list`");
    }
}

/// Gives a region up, or says what that means.
pub(super) async fn fence(
    edge: &Edge,
    output: Output,
    region: &str,
    set: Option<&str>,
    yes: bool,
) -> Result<(), Failure> {
    if !yes {
        if !output.json {
            explain(&edge.get("/v1/sync/status").await?, region, set);
        }
        return Err(Failure::usage(format!(
            "nothing was done; run `domicile sync fence {region} --yes` to give the region up"
        )));
    }
    let body = full(json!({"region": region, "set": set}).to_string());
    let answer = edge.json(Method::POST, "/v1/sync/fence", HeaderMap::new(), body).await?;
    output.show(&answer, || {
        for set in items(&answer["sets"]) {
            let logs: Vec<String> = items(&set["ending"]).map(text).collect();
            say!(
                "{region} is given up in {}: {} end once all other regions have been reached",
                text(&set["set"]),
                logs.join(", ")
            );
        }
        say!("`domicile sync status` shows when that is done");
    });
    Ok(())
}

fn explain(status: &Value, region: &str, set: Option<&str>) {
    for of in items(&status["sets"]).filter(|of| set.is_none_or(|set| of["set"] == set)) {
        let Some(peer) = items(&of["peers"]).find(|peer| peer["region"] == region) else { continue };
        let heard = match peer["heard_ms_ago"].as_u64() {
            Some(heard_ms) => format!("was last heard of {:.1} s ago", heard_ms as f64 / 1e3),
            None => "was not heard of since this region started".to_owned(),
        };
        say!(
            "replication set {}: {region} {heard}; {} bytes are kept for it",
            text(&of["set"]),
            text(&peer["kept_bytes"])
        );
        let logs: Vec<String> = of["applied"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(log, _)| log.rsplit_once('.').is_some_and(|(of, _)| of == region))
            .map(|(log, last)| format!("{log} up to entry {}", text(last)))
            .collect();
        say!("  of its logs, this region has {}", if logs.is_empty() { "nothing".to_owned() } else { logs.join(", ") });
    }
    say!("");
    say!("To give a region up means:");
    say!("- What it wrote and no other region has got by then will count nowhere.");
    say!(
        "- The others no longer keep entries and deletions for it. They agree on its last entry, so each of them has to"
    );
    say!("  be reached once; one that is dead as well has to be given up, too.");
    say!(
        "- If it is alive or comes back, it finds that out, takes no rows until it has started from a snapshot, and goes"
    );
    say!("  on under a new log. Rows of it that count nowhere are set aside there, and can be written anew:");
    say!("  `domicile sync quarantine list`.");
    say!("- It cannot be undone. For a region that is only away for a while, nothing has to be done.");
}

/// Shows, writes anew or forgets entries that were set aside.
pub(super) async fn quarantine(edge: &Edge, output: Output, verb: &QuarantineVerb) -> Result<(), Failure> {
    let named = |entry: &str, set: &Option<String>| full(json!({"entry": entry, "set": set}).to_string());
    match verb {
        QuarantineVerb::List => {
            let answer = edge.get("/v1/sync/quarantine").await?;
            output.show(&answer, || list(&answer));
        }
        QuarantineVerb::Retry { entry, set } => {
            let path = "/v1/sync/quarantine/retry";
            let answer = edge.json(Method::POST, path, HeaderMap::new(), named(entry, set)).await?;
            output.show(&answer, || {
                say!("{entry}: {} rows of {} are written anew", text(&answer["rows"]), text(&answer["dataset"]))
            });
        }
        QuarantineVerb::Drop { entry, set } => {
            let path = "/v1/sync/quarantine/drop";
            let answer = edge.json(Method::POST, path, HeaderMap::new(), named(entry, set)).await?;
            output.show(&answer, || say!("{entry} is dropped"));
        }
    }
    Ok(())
}

fn list(answer: &Value) {
    let row = |entry: &Value| {
        let may = if entry["decided"] == true { "it counts nowhere" } else { "it may still come from another region" };
        let (set, rows) =
            (text(&entry["set"]), format!("{} rows of {}", text(&entry["rows"]), text(&entry["dataset"])));
        vec![text(&entry["entry"]), set, rows, may.to_owned()]
    };
    let rows: Vec<Vec<String>> = items(&answer["entries"]).map(row).collect();
    if rows.is_empty() {
        say!("nothing was set aside");
        return;
    }
    table(&["entry", "set", "what", "state"].map(str::to_owned), &rows);
}
