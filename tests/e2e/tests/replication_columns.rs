//! A dataset that gets a column in one region first.

use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Options};
use domicile_tests::replicated::{self, EVENTS, TOGETHER_TIMEOUT};
use serde_json::{Value, json};

const FIRST: &str = REGIONS[0];
const LATER: &str = REGIONS[1];
const WRITER: &str = REGIONS[2];
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// Starts a region again with a further column in the description of the events.
fn with_column(cluster: &mut Cluster, region: &str) -> Result<()> {
    cluster.stop(region)?;
    let config = cluster.file(region).config.clone();
    let text = std::fs::read_to_string(&config)?;
    let line = text.lines().find(|line| line.starts_with("datasets_dir = ")).context("no datasets")?;
    let from = config.with_file_name(line.trim_start_matches("datasets_dir = ").trim_matches('"'));
    let to = config.with_file_name(format!("datasets-{region}"));
    std::fs::create_dir_all(&to)?;
    for file in std::fs::read_dir(from)? {
        let path = file?.path();
        let mut text = std::fs::read_to_string(&path)?;
        if path.file_stem().is_some_and(|stem| stem == EVENTS) {
            text.push_str("[[column]]\nname = \"more\"\ntype = \"text\"\nnullable = true\n");
        }
        std::fs::write(to.join(path.file_name().context("no name")?), text)?;
    }
    std::fs::write(&config, text.replace(line, &format!("datasets_dir = \"{}\"", to.display())))?;
    cluster.resume(region)
}

fn put(cluster: &Cluster, region: &str, row: &Value) -> Result<()> {
    let answer = cluster.edge(region).rows("POST", EVENTS, &[NDJSON], row.to_string().as_bytes())?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

fn rows(cluster: &Cluster, region: &str, column: &str) -> Result<Vec<Value>> {
    let answer = cluster.edge(region).query(&format!("SELECT id, {column} FROM {EVENTS} ORDER BY id"))?;
    if answer.status == 409 { Ok(Vec::new()) } else { Ok(answer.answer()?.rows().to_vec()) }
}

fn await_so(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    while !is_so()? {
        ensure!(Instant::now() < deadline, "not {what}");
        thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn rows_of_a_newer_shape_wait_where_everyone_sees_it_and_older_ones_lack_the_column() -> Result<()> {
    let mut cluster = replicated::start(Options::default())?;
    // From before there was such a column, everywhere.
    put(&cluster, WRITER, &json!({"id": 0, "label": "first"}))?;
    replicated::await_together(&cluster)?;
    with_column(&mut cluster, FIRST)?;
    assert_eq!(rows(&cluster, FIRST, "more")?, [json!({"id": 0, "more": null})]);
    put(&cluster, FIRST, &json!({"id": 1, "label": "new", "more": "value"}))?;
    for region in [LATER, WRITER] {
        let edge = cluster.edge(region);
        await_so("parked", || {
            let status = replicated::status(&edge)?;
            Ok(status["parked"].as_str().is_some_and(|why| why.contains("dataset `event` does not fit it")))
        })?;
        let metrics = edge.get("/metrics")?.text();
        ensure!(metrics.contains("domicile_replication_parked{set=\"catalog\"} 1"), "{metrics}");
        let said = cluster.log(region)?.lines().filter(|line| line.contains("cannot be applied")).count();
        ensure!((1..5).contains(&said), "{said} lines in the log of {region}");
        assert_eq!(rows(&cluster, region, "label")?, [json!({"id": 0, "label": "first"})], "{region}");
    }
    with_column(&mut cluster, LATER)?;
    let [old, new] = [json!({"id": 0, "more": null}), json!({"id": 1, "more": "value"})];
    await_so("going on", || Ok(rows(&cluster, LATER, "more")? == [old.clone(), new.clone()]))?;
    assert_eq!(replicated::status(&cluster.edge(LATER))?["parked"], Value::Null);

    // What is written without the column lacks it where it is known.
    put(&cluster, WRITER, &json!({"id": 2, "label": "old"}))?;
    let all = [old, new, json!({"id": 2, "more": null})];
    for region in [FIRST, LATER] {
        await_so("widened", || Ok(rows(&cluster, region, "more")? == all))?;
    }
    cluster.kill(LATER)?;
    cluster.resume(LATER)?;
    assert_eq!(rows(&cluster, LATER, "more")?, all, "after a start");
    ensure!(!replicated::status(&cluster.edge(WRITER))?["parked"].is_null(), "its description is as it was");
    Ok(())
}
