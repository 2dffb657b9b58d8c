//! A version that lost against another still meets what is written over the winner alone.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Mode, Options};
use domicile_tests::replicated::{self, ITEMS, TOGETHER_TIMEOUT};
use domicile_tests::versions::Listed;
use serde_json::Value;

const WRITER: &str = "eu-central";
const ALONE: &str = "us-east";
const BETWEEN: &str = "ap-south";

/// Waits until a region's status is so.
fn await_status(cluster: &Cluster, region: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    loop {
        let status = replicated::status(&cluster.edge(region))?;
        if is_so(&status) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{region} never {what}: {status:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What another region is known to have of a log.
fn known(status: &Value, peer: &str, log: &str) -> u64 {
    let mut peers = status["peers"].as_array().into_iter().flatten();
    peers.find(|known| known["region"] == peer).and_then(|known| known["has"][log].as_u64()).unwrap_or(0)
}

fn put(cluster: &Cluster, region: &str, label: &str) -> Result<()> {
    let answer = replicated::put(&cluster.edge(region), ITEMS, 1, label, &[])?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

/// What is written over the winner alone, by a region that hears of nobody. `is_forgotten` is whether the region between
/// needs the winner's entry no longer by then, since it is everywhere.
fn check_meets(is_forgotten: bool) -> Result<()> {
    let cluster = replicated::start(Options::default())?;
    let network = cluster.network();
    let log = |region: &str| format!("{region}.0");
    network.set(ALONE, WRITER, Mode::Cut)?;
    network.set(ALONE, BETWEEN, Mode::Cut)?;
    put(&cluster, ALONE, "loser")?;
    if is_forgotten {
        put(&cluster, WRITER, "winner")?;
        await_status(&cluster, BETWEEN, "heard who has the winner", |status| known(status, WRITER, &log(WRITER)) > 0)?;
        network.set_one_way(WRITER, BETWEEN, Mode::Cut)?;
    } else {
        network.set_one_way(WRITER, BETWEEN, Mode::Cut)?;
        put(&cluster, WRITER, "winner")?;
        await_status(&cluster, BETWEEN, "got the winner", |status| status["applied"][log(WRITER)].as_u64() > Some(0))?;
    }
    network.set(ALONE, BETWEEN, Mode::Pass)?;
    await_status(&cluster, BETWEEN, "heard that the winner is everywhere", |status| {
        // Its first entry is the loser, and a later one says that it has the winner.
        known(status, ALONE, &log(WRITER)) > 0 && status["applied"][log(ALONE)].as_u64() > Some(1)
    })?;
    put(&cluster, WRITER, "over the winner")?;
    network.heal()?;
    replicated::await_together(&cluster)?;
    for region in REGIONS {
        let shown = replicated::shown(&cluster.edge(region))?;
        assert_eq!(shown.rows[&1], "over the winner", "{region}");
        let lists = |labels: [&str; 2]| {
            let has =
                |listed: &Listed, label: &str| listed.versions.iter().any(|known| known.2.as_deref() == Some(label));
            shown.conflicts.iter().any(|listed| labels.iter().all(|label| has(listed, label)))
        };
        // Neither of the two knew of the other.
        assert!(lists(["loser", "over the winner"]), "{region} lists {:?}", shown.conflicts);
    }
    Ok(())
}

#[test]
fn a_write_over_the_winner_meets_the_loser() -> Result<()> {
    check_meets(false)
}

#[test]
fn a_write_over_a_winner_that_is_everywhere_meets_the_loser() -> Result<()> {
    check_meets(true)
}
