//! The rows into the store: one thread prepares, one commits whatever has gathered, one flushes, one does the other
//! background work at the pace that is normal in a region.

use std::io::Cursor;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use domicile_store::{Batch, Format, Operation, Prepared, Preparer, Source, Store, StoreParts};
use serde_json::{Value, json};

use crate::background::{Background, now_ms};
use crate::rows::{self, Bodies};
use crate::{Arguments, bodies};

/// Batches on their way to the commit: as many as clients that wait for their answers.
const IN_FLIGHT: usize = 16;

pub(crate) fn run(dir: &Path, arguments: Arguments) -> Result<Value> {
    let parts = StoreParts::local(dir.join("store"), "eu-central".parse()?, vec![rows::spec()?]);
    let mut store = Store::open(parts)?;
    let (prepared, waiting) = sync_channel(IN_FLIGHT);
    let preparer = store.preparer();
    let path = bodies(dir);
    let started = Instant::now();
    let preparing = thread::spawn(move || prepare(&preparer, &path, &prepared));
    let mut background = Background::start();
    let mut rows = 0;
    while let Some(group) = group(&waiting) {
        while store.is_full() {
            background.step(&mut store, true)?;
        }
        for ack in store.commit(group, now_ms()) {
            rows += ack?.rows;
        }
        background.step(&mut store, false)?;
    }
    let acknowledged = started.elapsed();
    preparing.join().map_err(|_| anyhow!("preparing panicked"))??;
    anyhow::ensure!(rows == arguments.rows, "{rows} rows were acknowledged");
    store.freeze_recent();
    background.drain(&mut store)?;
    let settled = started.elapsed();
    background.end()?;
    Ok(json!({
        "part": "store",
        "acknowledged_s": acknowledged.as_secs_f64(),
        "settled_s": settled.as_secs_f64(),
        "segments": store.reader().snapshot().segments_len(&"orders".parse()?),
        "stored_bytes": store.reader().snapshot().bytes(&"orders".parse()?),
        "peak_rss_mib": peak_rss_mib()?,
    }))
}

fn prepare(preparer: &Preparer, path: &Path, prepared: &SyncSender<Prepared>) -> Result<()> {
    for body in Bodies::open(path)? {
        let source = Source::Stream(Box::new(Cursor::new(body?)));
        let (dataset, operation) = ("orders".parse()?, Operation::Upsert);
        let batch = Batch { dataset, operation, format: Format::ArrowStream, idempotency_key: None };
        if prepared.send(preparer.prepare(batch, source, now_ms())?).is_err() {
            break;
        }
    }
    Ok(())
}

/// Everything that waits; none once nothing more comes.
fn group(waiting: &Receiver<Prepared>) -> Option<Vec<Prepared>> {
    let mut group = vec![waiting.recv().ok()?];
    loop {
        match waiting.try_recv() {
            Ok(batch) => group.push(batch),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Some(group),
        }
    }
}

/// The most memory that the process ever had resident.
fn peak_rss_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}
