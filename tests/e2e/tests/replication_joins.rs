//! Regions that come back from a snapshot, are killed meanwhile, are given up, and come back all the same.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Mode, Options};
use domicile_tests::replicated::{self, EVENTS, ITEMS, TOGETHER_TIMEOUT};
use domicile_tests::versions::Shown;
use serde_json::Value;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

fn put(edge: &Edge, dataset: &str, id: i64, label: &str) -> Result<()> {
    let answer = replicated::put(edge, dataset, id, label, &[])?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

/// Waits until a region's status is as wanted. Gives it.
fn await_status(edge: &Edge, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    loop {
        let status = replicated::status(edge)?;
        if wanted(&status) {
            return Ok(status);
        }
        ensure!(Instant::now() < deadline, "{}: not {what}: {status:#}", edge.url());
        thread::sleep(POLL_INTERVAL);
    }
}

fn is_member(status: &Value) -> bool {
    status["standing"] == "member"
}

/// Writes rows everywhere, deletes some, and lets two regions write one row at once.
fn fill(cluster: &Cluster) -> Result<()> {
    let [one, other, third] = REGIONS;
    for id in 0..20 {
        let region = REGIONS[id as usize % REGIONS.len()];
        put(&cluster.edge(region), ITEMS, id, &format!("item {id} of {region}"))?;
        put(&cluster.edge(region), EVENTS, id, "event")?;
    }
    replicated::await_together(cluster)?;
    for id in 0..4 {
        ensure!(replicated::delete(&cluster.edge(one), id)?.status == 200, "item {id} is not deleted");
    }
    for (a, b) in [(one, other), (one, third), (other, third)] {
        cluster.network().set(a, b, Mode::Cut)?;
    }
    put(&cluster.edge(one), ITEMS, 30, "here")?;
    put(&cluster.edge(other), ITEMS, 30, "there")?;
    cluster.network().heal()?;
    replicated::await_together(cluster)?;
    Ok(())
}

/// What all regions show, which has to be the same.
fn shown_everywhere(cluster: &Cluster) -> Result<(Shown, Vec<(i64, String)>)> {
    replicated::await_together(cluster)?;
    let of = |region: &str| -> Result<_> {
        let edge = cluster.edge(region);
        Ok((replicated::shown(&edge)?, replicated::rows(&edge, EVENTS)?))
    };
    let first = of(REGIONS[0])?;
    for region in &REGIONS[1..] {
        let (shown, events) = of(region)?;
        assert_eq!(shown.rows, first.0.rows, "{region}");
        assert_eq!(shown.conflicts.len(), first.0.conflicts.len(), "{region}");
        assert_eq!(events, first.1, "{region}");
    }
    Ok(first)
}

/// The logs of a region that have entries.
fn logs_of(edge: &Edge, region: &str) -> Result<Vec<String>> {
    let applied = replicated::applied(edge)?;
    Ok(applied.into_keys().filter(|log| log.rsplit_once('.').is_some_and(|(of, _)| of == region)).collect())
}

/// Waits until exactly the first log of a region has ended, and it goes on with one other.
fn await_one_new_log(cluster: &Cluster, region: &str) -> Result<()> {
    let first = format!("{region}.0");
    for at in REGIONS {
        let has_ended = |status: &Value| {
            is_member(status) && status["ended"][&first].is_u64() && status["ending"] == Value::Array(Vec::new())
        };
        let status = await_status(&cluster.edge(at), "rid of the former log", has_ended)?;
        let ended = status["ended"].as_object().context("no ended logs")?;
        ensure!(ended.len() == 1, "{at}: {ended:?}");
    }
    let logs = logs_of(&cluster.edge(region), region)?;
    ensure!(logs.len() == 2 && logs.contains(&first), "{logs:?}");
    Ok(())
}

#[test]
fn a_region_without_its_data_starts_from_a_snapshot_under_a_new_log() -> Result<()> {
    let lost = REGIONS[1];
    let mut cluster = replicated::start(Options::default())?;
    fill(&cluster)?;
    let before = shown_everywhere(&cluster)?;
    cluster.kill(lost)?;
    cluster.destroy_data(lost)?;
    put(&cluster.edge(REGIONS[0]), ITEMS, 40, "meanwhile")?;
    cluster.resume(lost)?;
    await_status(&cluster.edge(lost), "a member", is_member)?;
    put(&cluster.edge(lost), ITEMS, 41, "again")?;
    let (shown, events) = shown_everywhere(&cluster)?;
    let mut rows = before.0.rows;
    rows.extend([(40, "meanwhile".to_owned()), (41, "again".to_owned())]);
    assert_eq!(shown.rows, rows);
    assert_eq!(shown.conflicts.len(), before.0.conflicts.len());
    assert_eq!(events, before.1);
    await_one_new_log(&cluster, lost)
}

#[test]
fn a_region_that_is_killed_while_it_starts_from_a_snapshot_goes_on_with_it() -> Result<()> {
    let [one, lost, other] = REGIONS;
    let mut cluster = replicated::start(Options::default())?;
    fill(&cluster)?;
    let before = shown_everywhere(&cluster)?;
    cluster.kill(lost)?;
    cluster.destroy_data(lost)?;
    cluster.network().set_delay(Duration::from_millis(500));
    cluster.resume(lost)?;
    let is_fetching = |status: &Value| status["snapshot_bytes_missing"].as_u64().is_some_and(|bytes| bytes > 0);
    await_status(&cluster.edge(lost), "fetching a snapshot", is_fetching)?;
    cluster.kill(lost)?;
    cluster.network().set(lost, one, Mode::Cut)?;
    cluster.network().set(lost, other, Mode::Cut)?;
    cluster.resume(lost)?;
    // It knows what it was about, without asking anybody.
    await_status(&cluster.edge(lost), "where it was", |status| status["standing"] == "new")?;
    cluster.network().set_delay(Duration::ZERO);
    cluster.network().heal()?;
    await_status(&cluster.edge(lost), "a member", is_member)?;
    let (shown, events) = shown_everywhere(&cluster)?;
    assert_eq!(shown.rows, before.0.rows);
    assert_eq!(events, before.1);
    // The log that it was given before is the one that it writes.
    await_one_new_log(&cluster, lost)
}

#[test]
fn a_region_that_is_given_up_holds_nobody_up_and_comes_back_under_a_new_log() -> Result<()> {
    let [one, dead, other] = REGIONS;
    let mut cluster = replicated::start(Options::default())?;
    fill(&cluster)?;
    // What it writes now, nobody gets.
    cluster.network().set(dead, one, Mode::Cut)?;
    cluster.network().set(dead, other, Mode::Cut)?;
    put(&cluster.edge(dead), ITEMS, 50, "unheard")?;
    cluster.kill(dead)?;
    cluster.network().heal()?;
    put(&cluster.edge(one), ITEMS, 51, "without it")?;
    let kept = |status: &Value| {
        let peers = status["peers"].as_array().into_iter().flatten();
        peers.filter(|peer| peer["region"] == dead).filter_map(|peer| peer["kept_bytes"].as_u64()).sum::<u64>()
    };
    for region in [one, other] {
        await_status(&cluster.edge(region), "held up", |status| kept(status) > 0)?;
    }

    let cli = cluster.cli(one);
    let asked = cli.run(&["sync", "fence", dead])?;
    ensure!(asked.code == 2 && asked.stdout.contains("will count nowhere"), "{asked:?}");
    ensure!(replicated::status(&cluster.edge(one))?["ending"] == Value::Array(Vec::new()), "it did so without --yes");
    let done = cli.json(&["sync", "fence", dead, "--set", "catalog", "--yes"])?;
    ensure!(done.code == 0 && done.stdout.contains(&format!("{dead}.0")), "{done:?}");
    let again = cli.json(&["sync", "fence", dead, "--yes"])?;
    ensure!(again.code == 1 && again.stdout.contains("not-given-up"), "{again:?}");
    let log = format!("{dead}.0");
    for region in [one, other] {
        let is_free = |status: &Value| status["ended"][&log].is_u64() && kept(status) == 0;
        await_status(&cluster.edge(region), "free of the dead region", is_free)?;
    }

    cluster.resume(dead)?;
    let has_joined = |status: &Value| is_member(status) && status["set_aside"] == 1;
    await_status(&cluster.edge(dead), "back, with what nobody got set aside", has_joined)?;
    let (shown, _) = shown_everywhere(&cluster)?;
    ensure!(shown.rows.contains_key(&51) && !shown.rows.contains_key(&50), "{:?}", shown.rows);
    await_one_new_log(&cluster, dead)?;
    write_anew(&cluster, dead)
}

/// Writes the one entry that was set aside anew.
fn write_anew(cluster: &Cluster, region: &str) -> Result<()> {
    let cli = cluster.cli(region);
    let listed = cli.json(&["sync", "quarantine", "list"])?;
    let listed: Value = serde_json::from_str(&listed.stdout)?;
    let entry = listed["entries"][0]["entry"].as_str().context("nothing was set aside")?.to_owned();
    ensure!(listed["entries"][0]["decided"] == true, "{listed:#}");
    ensure!(cli.run(&["sync", "quarantine", "list"])?.stdout.contains("1 rows of item"), "{listed:#}");
    let retried = cli.json(&["sync", "quarantine", "retry", &entry])?;
    ensure!(retried.code == 0, "{retried:?}");
    let (shown, _) = shown_everywhere(cluster)?;
    ensure!(shown.rows.get(&50).is_some_and(|label| label == "unheard"), "{:?}", shown.rows);
    let dropped = cli.json(&["sync", "quarantine", "drop", &entry])?;
    ensure!(dropped.code == 1 && dropped.stdout.contains("unknown-entry"), "{dropped:?}");
    Ok(())
}
