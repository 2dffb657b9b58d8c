//! The ledgers: one receipt a crossing, bytes that agree with the wire, and a chain that shows every change.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Options, questions};
use domicile_tests::world::World;
use serde_json::Value;

fn ledger_bytes(world: &World, query: &str) -> Result<u64> {
    let mut bytes = 0;
    for region in REGIONS {
        let records = world.edge(region).ledger()?;
        let of_query = records.iter().filter(|record| record["receipt"]["query_id"] == query);
        bytes += of_query.filter_map(|record| record["receipt"]["bytes"].as_u64()).sum::<u64>();
    }
    Ok(bytes)
}

#[test]
fn bytes_in_the_ledgers_are_those_on_the_wire() -> Result<()> {
    let world = World::with_plugins(&Options::default())?;
    for region in REGIONS {
        for sql in [
            questions::REVENUE,
            questions::PRICE_BANDS,
            "SELECT count(*) FROM orders WHERE o_orderdate < DATE '1990-01-01'",
        ] {
            let response = world.edge(region).query(sql)?;
            let answer = response.answer()?;
            assert!(answer.border_bytes() > 0);
            assert_eq!(ledger_bytes(&world, answer.query_id())?, answer.border_bytes(), "{region}: {sql}");
            assert_eq!(response.header("border-bytes"), Some(answer.border_bytes().to_string().as_str()));
            assert_eq!(response.header("query-id"), Some(answer.query_id()));
        }
        let reference = world.ask(region, "SELECT count(*) FROM part")?;
        assert_eq!(reference.border_bytes(), 0);
        assert_eq!(ledger_bytes(&world, reference.query_id())?, 0);
    }
    for region in REGIONS {
        let ran = world.cluster.cli(region).json(&["audit", "verify"])?;
        assert_eq!(ran.code, 0, "{region}: {}{}", ran.stdout, ran.stderr);
    }
    Ok(())
}

#[test]
fn a_receipt_shows_the_question_that_was_answered() -> Result<()> {
    let world = World::start(&Options::default())?;
    let answer = world.ask("us-east", questions::REVENUE)?;
    for region in ["eu-central", "ap-south"] {
        let records = world.edge(region).ledger()?;
        let record = records.last().context("no record")?;
        assert_eq!(record["receipt"]["query_id"], answer.query_id());
        assert_eq!(record["receipt"]["to"], "us-east");
        let question = record["question"].as_str().unwrap_or_default();
        assert!(question.contains("SELECT") && question.contains("sum("), "{question}");
        let ran = world.cluster.cli(region).run(&["audit", "show", "--query", answer.query_id()])?;
        assert!(ran.code == 0 && ran.stdout.contains(answer.query_id()), "{}{}", ran.stdout, ran.stderr);
    }
    Ok(())
}

#[test]
fn a_changed_ledger_does_not_verify() -> Result<()> {
    let mut world = World::start(&Options::default())?;
    let answer = world.ask("us-east", questions::REVENUE)?;
    let bytes = world.edge("eu-central").ledger()?[0]["receipt"]["bytes"].as_u64().context("bytes")?;
    world.cluster.stop("eu-central")?;

    let path = file_with(&world.cluster.file("eu-central").data_dir, answer.query_id())?;
    let ledger = fs::read(&path)?;
    let (from, to) = (format!("\"bytes\":{bytes},"), format!("\"bytes\":{},", bytes + 1));
    assert_eq!(from.len(), to.len(), "the change keeps the length");
    let at = ledger.windows(from.len()).position(|window| window == from.as_bytes()).context("bytes in the ledger")?;
    let mut changed = ledger;
    changed[at..at + to.len()].copy_from_slice(to.as_bytes());
    fs::write(&path, changed)?;

    // Either the region refuses to start on such a ledger, or the audit says that it was changed.
    match world.cluster.resume("eu-central") {
        Err(error) => assert!(format!("{error:#}").contains("receipt 1"), "{error:#}"),
        Ok(()) => {
            let ran = world.cluster.cli("eu-central").run(&["audit", "verify"])?;
            assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
        }
    }
    Ok(())
}

/// The file below a folder that has this text.
fn file_with(folder: &Path, text: &str) -> Result<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path)?.windows(text.len()).any(|window| window == text.as_bytes()) {
                return Ok(path);
            }
        }
    }
    anyhow::bail!("no file has {text}")
}

#[test]
fn a_query_is_one_thread_through_all_logs() -> Result<()> {
    let world = World::start(&Options::default())?;
    let answer = world.ask("us-east", questions::REVENUE)?;
    for region in REGIONS {
        let log = world.cluster.log(region)?;
        let lines: Vec<Value> =
            log.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("logs are JSON")?;
        assert!(lines.iter().any(|line| line.to_string().contains(answer.query_id())), "{region}");
    }
    Ok(())
}
