//! Replication that an operator pauses, and lets go on.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Options};
use domicile_tests::replicated::{self, EVENTS, TOGETHER_TIMEOUT};
use serde_json::{Value, json};

const PAUSED: &str = REGIONS[0];
const ONE: &str = REGIONS[1];
const OTHER: &str = REGIONS[2];

fn put(cluster: &Cluster, region: &str, id: i64) -> Result<()> {
    let answer = replicated::put(&cluster.edge(region), EVENTS, id, "label", &[])?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

fn ids(cluster: &Cluster, region: &str) -> Result<Vec<i64>> {
    Ok(replicated::rows(&cluster.edge(region), EVENTS)?.into_iter().map(|(id, _)| id).collect())
}

#[track_caller]
fn await_so(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    while !is_so()? {
        ensure!(Instant::now() < deadline, "not {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn log_lag(cluster: &Cluster, region: &str, of: &str) -> Result<u64> {
    let status = replicated::status(&cluster.edge(region))?;
    Ok(status["logs"][format!("{of}.0")]["batches"].as_u64().unwrap_or(0))
}

#[test]
fn a_paused_set_gives_and_takes_nothing_until_it_goes_on() -> Result<()> {
    let mut cluster = replicated::start(Options::default())?;
    put(&cluster, ONE, 1)?;
    replicated::await_together(&cluster)?;
    let said = cluster.cli(PAUSED).run(&["sync", "pause", "catalog"])?.success()?.stdout;
    ensure!(said.contains("paused here"), "{said}");

    // It takes nothing, and knows what it does not take, as it hears from those that ask it; these get what it writes.
    put(&cluster, ONE, 2)?;
    put(&cluster, PAUSED, 3)?;
    await_so("given to the others", || Ok(ids(&cluster, OTHER)? == [1, 2, 3] && ids(&cluster, ONE)? == [1, 2, 3]))?;
    await_so("known to be behind", || Ok(log_lag(&cluster, PAUSED, ONE)? > 0))?;
    assert_eq!(ids(&cluster, PAUSED)?, [1, 3]);

    // A start changes nothing.
    cluster.stop(PAUSED)?;
    cluster.resume(PAUSED)?;
    let status = replicated::status(&cluster.edge(PAUSED))?;
    ensure!(status["paused"]["whole_since_ms"].as_u64().is_some(), "{status:#}");
    put(&cluster, OTHER, 4)?;
    await_so("known to be behind", || Ok(log_lag(&cluster, PAUSED, OTHER)? > 0))?;
    assert_eq!(ids(&cluster, PAUSED)?, [1, 3]);
    let metrics = cluster.edge(PAUSED).get("/metrics")?.text();
    ensure!(metrics.contains("domicile_replication_paused{set=\"catalog\"} 1"), "{metrics}");

    cluster.cli(PAUSED).run(&["sync", "resume", "catalog"])?.success()?;
    replicated::await_together(&cluster)?;
    assert_eq!(ids(&cluster, PAUSED)?, [1, 2, 3, 4]);
    assert_eq!(replicated::status(&cluster.edge(PAUSED))?["paused"], Value::Null);
    Ok(())
}

#[test]
fn what_one_region_writes_can_wait_alone() -> Result<()> {
    let cluster = replicated::start(Options { tokens_only: vec![PAUSED], ..Options::default() })?;
    let edge = cluster.edge(PAUSED);
    let change =
        |verb: &str, body: Value| edge.send("POST", &format!("/v1/sync/{verb}"), &[], body.to_string().as_bytes());
    let answer = change("pause", json!({"set": "catalog", "from": ONE}))?.json()?;
    ensure!(answer["paused"]["from_since_ms"][ONE].as_u64().is_some(), "{answer}");
    put(&cluster, OTHER, 1)?;
    await_so("given by the other", || Ok(ids(&cluster, PAUSED)? == [1]))?;
    await_so("given to the writer", || Ok(ids(&cluster, ONE)? == [1]))?;
    put(&cluster, ONE, 2)?;
    await_so("with the other", || Ok(ids(&cluster, OTHER)? == [1, 2]))?;
    await_so("known of", || Ok(log_lag(&cluster, PAUSED, ONE)? > 0))?;
    assert_eq!(ids(&cluster, PAUSED)?, [1]);
    let answer = change("resume", json!({"set": "catalog", "from": ONE}))?.json()?;
    assert_eq!(answer["paused"], Value::Null);
    replicated::await_together(&cluster)?;
    assert_eq!(ids(&cluster, PAUSED)?, [1, 2]);

    for (body, status, what) in [
        (json!({"set": "catalogue"}), 404, "`catalog`"),
        (json!({"set": "catalog", "from": PAUSED}), 400, "no other region"),
        (json!({"set": "catalog", "form": ONE}), 400, "`from`"),
    ] {
        let answer = change("pause", body)?;
        assert_eq!(answer.status, status, "{}", answer.text());
        ensure!(answer.text().contains(what), "{}", answer.text());
    }
    assert_eq!(edge.without_token().send("POST", "/v1/sync/pause", &[], b"{}")?.status, 401);
    Ok(())
}

#[test]
fn a_write_that_waits_for_a_paused_region_says_why() -> Result<()> {
    let cluster = replicated::start(Options {
        jurisdictions: REGIONS.map(|region| (region, vec!["EU"])).to_vec(),
        ..Options::default()
    })?;
    let acknowledge = [("Acknowledge", "jurisdiction:3")];
    let edge = cluster.edge(ONE);
    assert_eq!(replicated::put(&edge, EVENTS, 1, "label", &acknowledge)?.status, 200);
    cluster.cli(PAUSED).run(&["sync", "pause", "catalog"])?.success()?;
    let peer = |status: &Value| {
        let peers = status["peers"].as_array().into_iter().flatten();
        peers.clone().find(|peer| peer["region"] == PAUSED).cloned().context("no peer")
    };
    await_so("told", || Ok(peer(&replicated::status(&edge)?)?["paused_there_since_ms"].is_u64()))?;
    let answer = replicated::put(&edge, EVENTS, 2, "label", &acknowledge)?;
    assert_eq!(answer.status, 504);
    let problem = answer.json()?;
    assert_eq!(problem["paused"], json!([PAUSED]));
    let detail = problem["detail"].as_str().context("no detail")?;
    ensure!(detail.contains("domicile sync resume catalog"), "{detail}");
    assert_eq!(replicated::put(&edge, EVENTS, 3, "label", &[("Acknowledge", "jurisdiction:2")])?.status, 200);
    cluster.cli(PAUSED).run(&["sync", "resume", "catalog"])?.success()?;
    await_so("told", || Ok(peer(&replicated::status(&edge)?)?["paused_there_since_ms"].is_null()))?;
    assert_eq!(replicated::put(&edge, EVENTS, 4, "label", &acknowledge)?.status, 200);
    Ok(())
}
