//! How fast entries of another region become durable on one core, and how many bytes they take on the way, in one run.
//!
//! One process writes rows of about 100 bytes into a region's store and keeps its log as other regions get it. Another
//! one, held to one core, is a region that has nothing yet and applies all of it as in production: it comes over a
//! connection, is read, checked, settled and in the write-ahead log, synced, with flushes and compaction beside. Parquet of the same rows is what the bytes are
//! compared with. The last line is one JSON object.
//!
//! `text DIR` only writes the same rows as lines of CSV to `DIR/rows.csv`, for other systems to be measured with.

#[path = "../../../store/benches/ingest/background.rs"]
mod background;
mod region;
#[path = "../../../store/benches/ingest/rows.rs"]
mod rows;
mod text;
mod wire;

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

/// What is measured.
#[derive(Debug, Clone, Copy)]
struct Arguments {
    rows: u64,
    batch_rows: usize,
    /// Keys in no order, such as random identifiers.
    shuffled: bool,
}

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments = parse(&given)?;
    let dir = given.get(1).map(Path::new);
    match given.first().map(String::as_str) {
        Some("write") => said(&region::write(dir.context("a directory")?, arguments)?),
        Some("apply") => {
            let mut core = CpuSet::new();
            core.set(0);
            sched_setaffinity(None, &core)?;
            let address = given.get(2).context("an address")?;
            said(&region::apply(dir.context("a directory")?, address)?)
        }
        Some("text") => text::write(dir.context("a directory")?, arguments),
        _ => compare(arguments, &given),
    }
}

fn said(figures: &Value) -> Result<()> {
    println!("{figures}");
    Ok(())
}

/// What follows the argument `name`.
fn value<'a>(given: &'a [String], name: &str) -> Option<&'a String> {
    given.iter().position(|argument| argument == name).and_then(|at| given.get(at + 1))
}

fn parse(given: &[String]) -> Result<Arguments> {
    let number = |name: &str, normal: u64| match value(given, name) {
        None => Ok(normal),
        Some(value) => value.parse().with_context(|| format!("{name} N")),
    };
    Ok(Arguments {
        rows: number("--rows", 2_000_000)?,
        batch_rows: usize::try_from(number("--batch-rows", 8_192)?.max(1))?,
        shuffled: given.iter().any(|argument| argument == "--shuffled"),
    })
}

fn compare(arguments: Arguments, given: &[String]) -> Result<()> {
    let parent = value(given, "--dir").map_or_else(std::env::current_dir, |dir| Ok(dir.into()))?;
    let dir = tempfile::Builder::new().prefix("apply-").tempdir_in(parent)?;
    rows::write(&bodies(dir.path()), arguments)?;
    let part = |name: &str, further: &[String]| -> Result<Value> {
        let output = Command::new(std::env::current_exe()?).arg(name).arg(dir.path()).args(further).output()?;
        ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_str(String::from_utf8(output.stdout)?.trim())?)
    };
    let written = part("write", given)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let (answers, address) = (File::open(answers(dir.path()))?, listener.local_addr()?.to_string());
    // Where the other process ends before it connects, so does this one, with that message.
    let _giving = thread::spawn(move || give(&listener, answers));
    let applied = part("apply", &[address])?;
    ensure!(applied["entries"] == written["entries"], "of {} entries {} count", written["entries"], applied["entries"]);
    let wire = wire::compare(dir.path())?;
    let seconds = applied["seconds"].as_f64().context("seconds")?;
    println!(
        "{}",
        json!({
            "bench": "apply",
            "apply_rows_per_s": (arguments.rows as f64 / seconds).round(),
            "apply_rows_per_cpu_s": (arguments.rows as f64 / applied["cpu_seconds"].as_f64().context("cpu")?).round(),
            "rows": arguments.rows,
            "batch_rows": arguments.batch_rows,
            "entries": written["entries"],
            "wire_bytes_per_row": wire.bytes as f64 / arguments.rows as f64,
            "zstd_of_each_bytes_per_row": wire.zstd_of_each_bytes as f64 / arguments.rows as f64,
            "vs_parquet": wire.bytes as f64 / wire.parquet_bytes as f64,
            "zstd_vs_parquet": wire.zstd_bytes as f64 / wire.parquet_bytes as f64,
            "zstd_vs_parquet_of_each": wire.zstd_of_each_bytes as f64 / wire.parquet_of_each_bytes as f64,
            "vs_parquet_of_each": wire.bytes as f64 / wire.parquet_of_each_bytes as f64,
            "metadata_bytes_per_row": wire.metadata_bytes as f64 / arguments.rows as f64,
            "stored_metadata_bytes_per_row": applied["stored_metadata_bytes"].as_f64().context("stored")? / arguments.rows as f64,
        })
    );
    Ok(())
}

/// Sends all answers to whoever connects first.
fn give(listener: &TcpListener, mut answers: File) -> Result<()> {
    let (mut connection, _) = listener.accept()?;
    std::io::copy(&mut answers, &mut connection)?;
    Ok(())
}

fn bodies(dir: &Path) -> std::path::PathBuf {
    dir.join("bodies")
}

/// The answers that the asking region gets, each after its length.
fn answers(dir: &Path) -> std::path::PathBuf {
    dir.join("answers")
}
