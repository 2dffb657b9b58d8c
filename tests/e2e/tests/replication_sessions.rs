//! Clients that take along what they wrote or read, to another region.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Edge, Mode, Options, Response};
use domicile_tests::replicated::{self, EVENTS, TOGETHER_TIMEOUT};

const WRITER: &str = REGIONS[0];
const READER: &str = REGIONS[1];
const OTHER: &str = REGIONS[2];

fn session(response: &Response) -> Result<String> {
    ensure!(response.status == 200, "{}", response.text());
    Ok(response.header("session").with_context(|| format!("no session in {:?}", response.headers()))?.to_owned())
}

fn put(cluster: &Cluster, region: &str, id: i64, headers: &[(&str, &str)]) -> Result<String> {
    session(&replicated::put(&cluster.edge(region), EVENTS, id, "label", headers)?)
}

fn count(edge: &Edge, headers: &[(&str, &str)]) -> Result<Response> {
    edge.query_with(&format!("SELECT count(*) AS n FROM {EVENTS}"), headers)
}

fn number(response: &Response) -> Result<i64> {
    response.answer()?.rows()[0]["n"].as_i64().context("no number")
}

fn start() -> Result<Cluster> {
    let cluster = replicated::start(Options::default())?;
    // A region without any rows of a dataset that others have answers nothing about it.
    put(&cluster, WRITER, 0, &[])?;
    replicated::await_together(&cluster)?;
    Ok(cluster)
}

#[test]
fn what_was_written_in_one_region_is_read_in_another_through_a_slow_link() -> Result<()> {
    let cluster = start()?;
    cluster.network().set_delay(Duration::from_millis(200));
    let mut rows = 1;
    for round in 0..3 {
        let wrote = put(&cluster, WRITER, 2 * round + 1, &[])?;
        rows += 1;
        let read = count(&cluster.edge(READER), &[("Session", &wrote)])?;
        assert_eq!(number(&read)?, rows);
        // What was read comes along, too: the third region shows nothing older.
        let read = session(&read)?;
        assert_eq!(number(&count(&cluster.edge(OTHER), &[("Session", &read)])?)?, rows);
        let wrote = put(&cluster, READER, 2 * round + 2, &[("Session", &read)])?;
        rows += 1;
        assert_eq!(number(&count(&cluster.edge(WRITER), &[("Session", &wrote)])?)?, rows);
    }
    Ok(())
}

#[test]
fn a_region_that_is_behind_says_so_and_what_to_do() -> Result<()> {
    let cluster = start()?;
    let network = cluster.network();
    network.set_one_way(READER, WRITER, Mode::Cut)?;
    network.set_one_way(READER, OTHER, Mode::Cut)?;
    let wrote = put(&cluster, WRITER, 1, &[])?;
    let edge = cluster.edge(READER);
    let behind = count(&edge, &[("Session", &wrote), ("Query-Timeout", "500")])?;
    assert_eq!(behind.status, 503, "{}", behind.text());
    let problem = behind.json()?;
    ensure!(problem["type"].as_str().is_some_and(|kind| kind.ends_with("/session-behind")), "{problem}");
    ensure!(problem["detail"].as_str().is_some_and(|detail| detail.contains("ask again later")), "{problem}");
    assert_eq!((&problem["set"], &problem["region"]), (&"catalog".into(), &READER.into()));
    assert_eq!(behind.header("retry-after"), Some("1"));
    assert_eq!(number(&count(&edge, &[])?)?, 1, "without a session it answers what it has");
    network.heal()?;
    let started = Instant::now();
    while count(&edge, &[("Session", &wrote)])?.status != 200 {
        ensure!(started.elapsed() < TOGETHER_TIMEOUT, "it stays behind");
        thread::sleep(Duration::from_millis(20));
    }
    cluster.cli(READER).run(&["sync", "pause", "catalog"])?.success()?;
    let wrote = put(&cluster, WRITER, 2, &[])?;
    let behind = count(&edge, &[("Session", &wrote), ("Query-Timeout", "300")])?;
    ensure!(behind.status == 503 && behind.text().contains("replication is paused there"), "{}", behind.text());
    Ok(())
}

#[test]
fn what_is_no_session_is_refused() -> Result<()> {
    let cluster = start()?;
    let edge = cluster.edge(WRITER);
    let wrote = put(&cluster, WRITER, 1, &[])?;
    ensure!(wrote.len() < 200, "{wrote}");
    for odd in ["x", "AAAA", &wrote[1..], &wrote[..wrote.len() - 2], &"A".repeat(5_000)] {
        let answer = count(&edge, &[("Session", odd)])?;
        ensure!(answer.status == 400 && answer.text().contains("Session"), "{odd}: {}", answer.text());
        assert_eq!(replicated::put(&edge, EVENTS, 2, "label", &[("Session", odd)])?.status, 400, "{odd}");
    }
    assert_eq!(number(&count(&edge, &[("Session", &wrote)])?)?, 2, "nothing was stored");
    Ok(())
}
