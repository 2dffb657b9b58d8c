//! How fast rows become durable on one core, against copying the same bytes and against SQLite, in one run.
//!
//! Each part is a process of its own, held to one core, that reads the same bodies (Arrow streams of `--batch-rows`
//! rows of about 100 bytes) from one file. The last line is one JSON object; `settled_s` are the seconds until everything
//! was in segments and no compaction was due.

mod background;
mod rows;
mod sqlite;
mod store;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

/// What is measured.
#[derive(Debug, Clone, Copy)]
struct Arguments {
    rows: u64,
    batch_rows: usize,
    /// SQLite is given fewer rows, to save time: with keys that rise its speed stays the same, with others it falls
    /// the more there are, so that fewer flatter it.
    sqlite_rows: u64,
    /// Keys in no order, such as random identifiers.
    shuffled: bool,
}

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments = parse(&given)?;
    match given.first().map(String::as_str) {
        Some("store") => part(&given, |dir| store::run(dir, arguments)),
        Some("sqlite") => part(&given, |dir| sqlite::run(dir, arguments)),
        Some("copy") => part(&given, copy),
        _ => compare(arguments, &given),
    }
}

fn parse(given: &[String]) -> Result<Arguments> {
    let number = |name: &str, normal: u64| match given.iter().position(|argument| argument == name) {
        None => Ok(normal),
        Some(at) => given.get(at + 1).and_then(|value| value.parse().ok()).with_context(|| format!("{name} N")),
    };
    let rows = number("--rows", 10_000_000)?;
    Ok(Arguments {
        rows,
        batch_rows: usize::try_from(number("--batch-rows", 10_000)?.max(1))?,
        sqlite_rows: number("--sqlite-rows", rows.min(1_000_000))?,
        shuffled: given.iter().any(|argument| argument == "--shuffled"),
    })
}

/// Runs one part on one core and prints its figures.
fn part(given: &[String], run: impl FnOnce(&Path) -> Result<Value>) -> Result<()> {
    let mut core = CpuSet::new();
    core.set(0);
    sched_setaffinity(None, &core)?;
    println!("{}", run(Path::new(given.get(1).context("a directory")?))?);
    Ok(())
}

fn compare(arguments: Arguments, given: &[String]) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("ingest-").tempdir_in(std::env::current_dir()?)?;
    println!("writing {} rows in bodies of {} …", arguments.rows, arguments.batch_rows);
    let bytes = rows::write(&bodies(dir.path()), arguments)?;
    let mut figures = Vec::new();
    for part in ["copy", "store", "sqlite", "copy"] {
        println!("{part} …");
        let output = Command::new(std::env::current_exe()?).arg(part).arg(dir.path()).args(given).output()?;
        ensure!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        println!("{}", text.trim());
        figures.push(serde_json::from_str::<Value>(text.trim())?);
    }
    let figure = |part: usize, name: &str| figures[part][name].as_f64().with_context(|| name.to_owned());
    let seconds = figure(1, "acknowledged_s")?;
    let copying = figure(0, "seconds")?.min(figure(3, "seconds")?);
    let rows_per_s = arguments.rows as f64 / seconds;
    let sqlite_rows_per_s = arguments.sqlite_rows as f64 / figure(2, "seconds")?;
    let line = json!({
        "bench": "ingest",
        "rows_per_s": rows_per_s.round(),
        "bytes_per_s": (bytes as f64 / seconds).round(),
        "row_bytes": (bytes as f64 / arguments.rows as f64).round(),
        "vs_disk": round(copying / seconds),
        "vs_sqlite": round(rows_per_s / sqlite_rows_per_s),
        "peak_rss_mib": figure(1, "peak_rss_mib")?,
        "rows": arguments.rows,
        "batch_rows": arguments.batch_rows,
        "shuffled": arguments.shuffled,
        "settled_s": figure(1, "settled_s")?,
    });
    println!("{line}");
    Ok(())
}

fn round(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

fn bodies(dir: &Path) -> std::path::PathBuf {
    dir.join("bodies")
}

/// `cp` and `fdatasync` of the same bytes.
fn copy(dir: &Path) -> Result<Value> {
    let target = dir.join("copied");
    let started = Instant::now();
    let (mut from, mut to) = (File::open(bodies(dir))?, File::create(&target)?);
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            read => to.write_all(&buffer[..read])?,
        }
    }
    to.sync_data()?;
    let seconds = started.elapsed().as_secs_f64();
    std::fs::remove_file(target)?;
    Ok(json!({"part": "copy", "seconds": seconds}))
}
