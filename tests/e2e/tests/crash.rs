//! A region killed at random moments under load, again and again: every acknowledged row is there exactly once, and no
//! batch is half there.
//!
//! `cargo xtask crash --cycles N --seed S` runs as many cycles as wanted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use domicile_harness::{Cluster, Edge, Options, build};
use domicile_tests::numbers::{Numbers, setting};
use serde_json::json;

const HERE: &str = "us-east";
const CYCLES: u64 = 200;
const WRITERS: u64 = 4;
/// Keys of each writer in the dataset with a key.
const KEYS: u64 = 50;
/// Rows of the largest batch.
const ROWS_MAX: u64 = 40;
/// Longest that a cycle waits for its share of acknowledgements.
const ACK_TIMEOUT: Duration = Duration::from_secs(60);

/// What is known of a batch whose rows only add.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Acknowledged,
    /// No answer came: all of it is there or nothing, and so it stays.
    Unknown,
    There,
    NotThere,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    rows: u64,
    outcome: Outcome,
}

/// What a writer knows of its keys: the least value that must be there, and the greatest that may.
type Keys = BTreeMap<u64, (u64, u64)>;

/// Everything that was sent and what came of it.
#[derive(Debug, Default)]
struct Model {
    batches: BTreeMap<u64, Sent>,
    keys: Keys,
}

fn start() -> Result<Cluster> {
    let dataset = |name: &str, key: &str, columns: [&str; 2], division: &str| {
        let columns: String =
            columns.iter().map(|column| format!("[[column]]\nname = \"{column}\"\ntype = \"bigint\"\n")).collect();
        (name.to_owned(), format!("schema = 1\nname = \"{name}\"\nreference = true\n{key}{division}{columns}"))
    };
    let buckets = "[partition]\nby = [{ column = \"part\", buckets = 3 }]\n";
    let datasets = vec![
        dataset("added", "", ["batch", "part"], buckets),
        dataset("replaced", "primary_key = [\"key\"]\n", ["key", "value"], ""),
    ];
    Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options { datasets, ..Options::default() })
}

/// Sends one batch to each dataset, over and over, until told to stop. Gives what it knows then.
fn write(edge: &Edge, writer: u64, seed: u64, first: u64, stop: &AtomicBool, acks: &Sender<()>) -> Model {
    let mut numbers = Numbers::new(seed ^ writer.wrapping_mul(0xA5A5));
    let mut model = Model::default();
    let headers = [("Content-Type", "application/x-ndjson")];
    for round in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let batch = first + round * WRITERS + writer;
        let count = 1 + numbers.below(ROWS_MAX);
        let body: String = (0..count).map(|part| json!({"batch": batch, "part": part}).to_string() + "\n").collect();
        let stored = edge.rows("POST", "added", &headers, body.as_bytes()).is_ok_and(|answer| answer.status == 200);
        let outcome = if stored { Outcome::Acknowledged } else { Outcome::Unknown };
        model.batches.insert(batch, Sent { rows: count, outcome });

        let key = writer * KEYS + numbers.below(KEYS);
        let body = json!({"key": key, "value": batch}).to_string();
        let replaced =
            edge.rows("POST", "replaced", &headers, body.as_bytes()).is_ok_and(|answer| answer.status == 200);
        let known = model.keys.entry(key).or_insert((0, 0));
        *known = (if replaced { batch } else { known.0 }, batch);
        if acks.send(()).is_err() || !stored || !replaced {
            break;
        }
    }
    model
}

/// Loads until a random moment, kills the region there, and gives what the writers know.
fn cycle(cluster: &mut Cluster, backups: &str, seed: u64, first: u64) -> Result<Model> {
    let stop = AtomicBool::new(false);
    let (acks, acknowledged) = channel();
    let edge = cluster.edge(HERE);
    let mut numbers = Numbers::new(seed);
    let wanted = 1 + numbers.below(60);
    let copies = numbers.below(3) == 0;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (edge, stop, acks) = (&edge, &stop, acks.clone());
                scope.spawn(move || write(edge, writer, seed, first, stop, &acks))
            })
            .collect();
        drop(acks);
        // A backup makes segments of what is recent, so that the end also meets flushes and copies half done.
        let copying = copies.then(|| {
            let body = json!({"to": backups}).to_string();
            let edge = &edge;
            scope.spawn(move || {
                drop(edge.send("POST", "/v1/backups", &[("Content-Type", "application/json")], body.as_bytes()))
            })
        });
        for _ in 0..wanted {
            acknowledged.recv_timeout(ACK_TIMEOUT).context("the region acknowledges nothing")?;
        }
        cluster.kill(HERE)?;
        stop.store(true, Ordering::SeqCst);
        let mut model = Model::default();
        for writer in writers {
            let known = writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
            model.batches.extend(known.batches);
            model.keys.extend(known.keys);
        }
        if let Some(copying) = copying {
            copying.join().map_err(|_| anyhow::anyhow!("the backup's thread panicked"))?;
        }
        Ok(model)
    })
}

fn pairs(edge: &Edge, sql: &str) -> Result<BTreeMap<u64, u64>> {
    let answer = edge.query(sql)?.answer()?;
    let pair = |row: &serde_json::Value| Some((row["a"].as_u64()?, row["b"].as_u64()?));
    answer.rows().iter().map(pair).collect::<Option<_>>().context("two numbers a row")
}

/// Compares what is stored with what must and may be, and notes what unknown outcomes turned out to be.
fn compare(edge: &Edge, model: &mut Model) -> Result<()> {
    let stored = pairs(edge, "SELECT batch AS a, count(*) AS b FROM added GROUP BY batch")?;
    let distinct = pairs(edge, "SELECT batch AS a, count(DISTINCT part) AS b FROM added GROUP BY batch")?;
    assert_eq!(stored, distinct, "a row is there twice");
    assert!(stored.keys().all(|batch| model.batches.contains_key(batch)), "a batch that nobody sent");
    for (batch, sent) in &mut model.batches {
        let found = stored.get(batch).copied().unwrap_or(0);
        let there = matches!(sent.outcome, Outcome::Acknowledged | Outcome::There);
        match found {
            0 => assert!(!there, "batch {batch} of {} rows is lost: {:?}", sent.rows, sent.outcome),
            found if found == sent.rows => assert_ne!(sent.outcome, Outcome::NotThere, "batch {batch} came back"),
            found => panic!("batch {batch} is half there: {found} of {} rows", sent.rows),
        }
        if sent.outcome == Outcome::Unknown {
            sent.outcome = if found == 0 { Outcome::NotThere } else { Outcome::There };
        }
    }
    let values = pairs(edge, "SELECT key AS a, value AS b FROM replaced")?;
    for (key, (least, greatest)) in &mut model.keys {
        let found = values.get(key).copied().unwrap_or(0);
        assert!((*least..=*greatest).contains(&found), "key {key} has {found}, not {least} to {greatest}");
        (*least, *greatest) = (found, found);
    }
    Ok(())
}

#[test]
fn acknowledged_rows_survive_any_number_of_kills() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let (cycles, seed) = (setting("DOMICILE_CRASH_CYCLES", CYCLES), setting("DOMICILE_CRASH_SEED", now));
    println!("{cycles} cycles; again with: cargo xtask crash --cycles {cycles} --seed {seed}");
    let mut cluster = start()?;
    for other in ["eu-central", "ap-south"] {
        cluster.stop(other)?;
    }
    let place = cluster.dir().context("a folder")?.join(format!("{HERE}.backups"));
    let backups = format!("file://{}", place.display());
    let mut model = Model::default();
    for cycle_number in 0..cycles {
        let first = 1 + model.batches.keys().next_back().copied().unwrap_or(0);
        let known = cycle(&mut cluster, &backups, seed.wrapping_add(cycle_number), first)?;
        model.batches.extend(known.batches);
        for (key, (least, greatest)) in known.keys {
            let before = model.keys.get(&key).copied().unwrap_or((0, 0));
            model.keys.insert(key, (least.max(before.0), greatest.max(before.1)));
        }
        cluster.resume(HERE)?;
        compare(&cluster.edge(HERE), &mut model).with_context(|| format!("cycle {cycle_number}"))?;
    }
    let acknowledged = model.batches.values().filter(|sent| sent.outcome == Outcome::Acknowledged).count();
    println!("{acknowledged} acknowledged batches of {}", model.batches.len());
    assert!(acknowledged as u64 >= cycles, "hardly anything was acknowledged");
    Ok(())
}
