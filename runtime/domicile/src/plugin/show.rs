//! What `domicile plugin` prints for people.

use serde_json::Value;

use crate::output::{counted, say, table, text};

fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> String {
    entries(value).map(text).collect::<Vec<_>>().join(", ")
}

fn pending(answer: &Value) {
    for pending in entries(&answer["pending_in"]) {
        say!("  pending in {}: {}", text(&pending["region"]), text(&pending["reason"]));
    }
}

pub(super) fn deployed(answer: &Value) {
    let [name, version, sha256, active] = ["name", "version", "sha256", "active_version"].map(|key| text(&answer[key]));
    let regions = texts(&answer["deployed_in"]);
    if answer["active"].as_bool() == Some(true) {
        say!("{name} {version} (sha256 {sha256}) is active in {regions}");
    } else {
        say!("{name} {version} (sha256 {sha256}) is deployed in {regions} and waits; {active} answers");
        say!(
            "  `domicile plugin shadow {name} {version}` compares it, `domicile plugin canary {name} {version} 10` lets it"
        );
        say!("  answer one question in ten, `domicile plugin promote {name} {version}` all of them");
    }
    entries(&answer["provides"]).for_each(|provided| say!("  {}", text(provided)));
    match &answer["signed_by"] {
        Value::Null => say!("  without a signature"),
        key => say!("  signed with {}", text(key)),
    }
    pending(answer);
}

pub(super) fn listed(answer: &Value) {
    let row = |plugin: &Value| {
        let mut row: Vec<String> = ["name", "version", "role", "world"].iter().map(|key| text(&plugin[*key])).collect();
        row.push(if plugin["signed_by"].is_null() { "no" } else { "yes" }.to_owned());
        row.push(entries(&plugin["provides"]).map(text).collect::<Vec<_>>().join("; "));
        row
    };
    let rows: Vec<Vec<String>> = entries(&answer["plugins"]).map(row).collect();
    table(&["plugin", "version", "part", "world", "signed", "provides"].map(str::to_owned), &rows);
    refused(answer);
}

fn refused(answer: &Value) {
    for refused in entries(&answer["refused"]) {
        let [name, version, reason] = ["name", "version", "reason"].map(|key| text(&refused[key]));
        say!("{name} {version} is kept and does not run: {reason}");
    }
}

pub(super) fn status(answer: &Value) {
    release(&answer["release"]);
    let row = |version: &Value| {
        let signer = match &version["signed_by"] {
            Value::Null => "nobody".to_owned(),
            key => text(key),
        };
        vec![text(&version["version"]), text(&version["role"]), signer, text(&version["sha256"])]
    };
    let rows: Vec<Vec<String>> = entries(&answer["versions"]).map(row).collect();
    table(&["version", "part", "signed with", "sha256"].map(str::to_owned), &rows);
    refused(answer);
    for costs in entries(&answer["metrics"]).filter(|costs| costs["calls"].as_u64() > Some(0)) {
        say!(
            "{}: {} calls, half of them within {:.3} ms, {:.0} ms of the processor, at most {} bytes of memory; \
             {} trapped, {} met a limit, {} failed",
            text(&costs["version"]),
            costs["calls"],
            costs["call_ms"]["p50"].as_f64().unwrap_or_default(),
            costs["cpu_ms"].as_f64().unwrap_or_default(),
            costs["memory_bytes_peak"],
            costs["traps"],
            costs["limit_hits"],
            costs["failures"]
        );
    }
}

fn release(release: &Value) {
    say!("{}: {} answers", text(&release["name"]), text(&release["active"]["version"]));
    if let Some(version) = release["canary"]["version"].as_str() {
        say!("  {version} answers {} of a hundred questions", release["canary"]["percent"]);
    }
    if let Some(version) = release["shadow"]["version"].as_str() {
        say!(
            "  {version} is asked as well and compared; `domicile plugin shadow {}` shows how it does",
            text(&release["name"])
        );
    }
    let history: Vec<String> = entries(&release["history"]).map(|before| text(&before["version"])).collect();
    if let Some(before) = history.last() {
        say!("  before, {before} did; `domicile plugin rollback {}` goes back to it", text(&release["name"]));
    }
}

pub(super) fn released(answer: &Value) {
    if answer["shadow"].is_object() {
        say!("as a shadow, until now:");
        shadow(&answer["shadow"]);
    }
    release(&answer["release"]);
    say!("  known in {}", texts(&answer["known_in"]));
    pending(answer);
}

pub(super) fn deleted(answer: &Value) {
    let removed = &answer["removed"];
    say!("{} {} is deleted in {}", text(&removed["name"]), text(&removed["version"]), texts(&answer["known_in"]));
    pending(answer);
}

pub(super) fn shadow(report: &Value) {
    let [name, active, shadow] = ["name", "active", "shadow"].map(|key| text(&report[key]));
    say!(
        "{name} {shadow} beside {active}, which answers: {} answers compared, {} equal, {} different",
        report["compared"],
        report["equal"],
        report["different"]
    );
    say!(
        "  {} failed, {} denied, {} dropped, {} not comparable since data changed; {} bytes crossed a border",
        report["failed"],
        report["denied"],
        report["dropped"],
        report["unsteady"],
        report["border_bytes"]
    );
    if let Some(slower) = report["slower"].as_f64() {
        let ms = |which: &str, part: &str| report[which][part].as_f64().unwrap_or_default();
        say!(
            "  {shadow} takes {slower:.2} times as long: median {:.1} ms for {:.1} ms, 99 of 100 within {:.1} ms for {:.1} ms",
            ms("shadow_ms", "p50"),
            ms("active_ms", "p50"),
            ms("shadow_ms", "p99"),
            ms("active_ms", "p99")
        );
    }
    if let Some(why) = report["last_failure"].as_str() {
        say!("  the last failure: {}", text(&Value::from(why)));
    }
    if let Some(last) = entries(&report["differences"]).last() {
        let row = |key: &str| match last[key].as_array() {
            Some(cells) => cells
                .iter()
                .map(|cell| if cell.is_null() { "NULL".to_owned() } else { text(cell) })
                .collect::<Vec<_>>()
                .join(" | "),
            None => "no row".to_owned(),
        };
        say!(
            "  the last difference, in query {}: {} and {}; {}",
            text(&last["query_id"]),
            counted(&last["rows"], "row"),
            last["shadow_rows"],
            texts(&last["columns"])
        );
        say!("    {active}: {}", row("row"));
        say!("    {shadow}: {}", row("shadow_row"));
    }
}
