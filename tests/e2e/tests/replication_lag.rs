//! How far a region is behind another one, as its status and its metrics say.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Mode, Options};
use domicile_tests::replicated::{self, EVENTS, TOGETHER_TIMEOUT};
use serde_json::Value;

const WRITER: &str = REGIONS[0];
const BEHIND: &str = REGIONS[1];
const OTHER: &str = REGIONS[2];
const WRITES: i64 = 5;

fn log() -> String {
    format!("{WRITER}.0")
}

/// How far a region is behind the writer's log.
fn lag(edge: &Edge) -> Result<Value> {
    Ok(replicated::status(edge)?["logs"][log()].clone())
}

fn await_lag(cluster: &Cluster, region: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    loop {
        let lag = lag(&cluster.edge(region))?;
        if is_so(&lag) {
            return Ok(lag);
        }
        ensure!(Instant::now() < deadline, "{region} is behind by {lag}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The value of a gauge.
fn gauge(edge: &Edge, name: &str, labels: &str) -> Result<f64> {
    let metrics = edge.get("/metrics")?.text();
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{{labels}}} ")));
    let line = line.with_context(|| format!("no {name}{{{labels}}} in {metrics}"))?;
    Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
}

fn write(cluster: &Cluster, ids: std::ops::Range<i64>) -> Result<()> {
    for id in ids {
        let answer = replicated::put(&cluster.edge(WRITER), EVENTS, id, &"label".repeat(100), &[])?;
        ensure!(answer.status == 200, "{}", answer.text());
    }
    Ok(())
}

#[test]
fn what_a_region_knows_of_and_lacks_is_told_in_seconds_batches_and_bytes() -> Result<()> {
    let cluster = replicated::start(Options::default())?;
    let network = cluster.network();
    write(&cluster, 0..1)?;
    replicated::await_together(&cluster)?;
    assert_eq!(await_lag(&cluster, BEHIND, |lag| lag["batches"] == 0)?["seconds"], 0.0);

    // It cannot ask anybody, but hears from the others, which ask it, how far they are.
    network.set_one_way(BEHIND, WRITER, Mode::Cut)?;
    network.set_one_way(BEHIND, OTHER, Mode::Cut)?;
    write(&cluster, 1..1 + WRITES)?;
    let lag = await_lag(&cluster, BEHIND, |lag| lag["batches"].as_i64() >= Some(WRITES))?;
    ensure!(lag["bytes"].as_u64() > Some(WRITES as u64 * 100), "{lag}");
    await_lag(&cluster, BEHIND, |lag| lag["seconds"].as_f64() > Some(1.0))?;
    let labels = format!("set=\"catalog\",log=\"{}\"", log());
    let edge = cluster.edge(BEHIND);
    ensure!(gauge(&edge, "domicile_replication_lag_batches", &labels)? >= WRITES as f64);
    ensure!(gauge(&edge, "domicile_replication_lag_bytes", &labels)? > WRITES as f64 * 100.0);
    ensure!(gauge(&edge, "domicile_replication_lag_seconds", &labels)? > 1.0);
    assert_eq!(gauge(&edge, "domicile_replication_parked", "set=\"catalog\"")?, 0.0);
    let said = cluster.cli(BEHIND).run(&["sync", "status"])?.success()?.stdout;
    ensure!(said.lines().any(|line| line.contains(&log()) && line.contains(" s ")), "{said}");

    network.heal()?;
    replicated::await_together(&cluster)?;
    let lag = await_lag(&cluster, BEHIND, |lag| lag["batches"] == 0)?;
    assert_eq!((&lag["seconds"], &lag["bytes"]), (&Value::from(0.0), &Value::from(0)));
    assert_eq!(gauge(&edge, "domicile_replication_lag_bytes", &labels)?, 0.0);
    Ok(())
}
