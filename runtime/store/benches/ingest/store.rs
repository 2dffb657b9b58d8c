//! The rows into the store: one thread prepares, one commits whatever has gathered, one flushes, one does the other
//! background work at the pace that is normal in a region.

use std::cell::Cell;
use std::io::Cursor;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use domicile_store::{Batch, Done, Format, Job, Operation, Prepared, Preparer, Source, Store, StoreParts};
use domicile_types::limits;
use serde_json::{Value, json};

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
    let (finished, done) = channel();
    let started = Instant::now();
    let preparing = thread::spawn(move || prepare(&preparer, &path, &prepared));
    let (urgent, flushing) = worker(finished.clone(), None);
    let (other, working) = worker(finished, Some(limits::COMPACTION_BYTES_PER_S_DEFAULT));
    let mut background = Background { urgent, other, done, running: 0 };
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
    drop(background);
    for worker in [flushing, working] {
        worker.join().map_err(|_| anyhow!("background work panicked"))?;
    }
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

/// A thread that does jobs, moving at most so many bytes a second.
fn worker(finished: Sender<Done>, bytes_per_s_max: Option<u64>) -> (Sender<Job>, JoinHandle<()>) {
    let (jobs, due) = channel::<Job>();
    let working = thread::spawn(move || {
        for job in due {
            let (begun, moved) = (Instant::now(), Cell::new(0));
            let pace = |bytes| {
                moved.set(moved.get() + bytes);
                let due = bytes_per_s_max.map_or(0.0, |max| moved.get() as f64 / max as f64);
                thread::sleep(Duration::from_secs_f64(due).saturating_sub(begun.elapsed()));
            };
            // Who no longer waits for results has failed already, and says why.
            let _ = finished.send(job.run(&pace));
        }
    });
    (jobs, working)
}

struct Background {
    urgent: Sender<Job>,
    other: Sender<Job>,
    done: Receiver<Done>,
    running: usize,
}

impl Background {
    /// Hands out what is due and takes in what is done; waits for one result where asked to.
    fn step(&mut self, store: &mut Store, wait: bool) -> Result<()> {
        while let Some(job) = store.next_job(now_ms()) {
            let worker = if job.is_urgent() { &self.urgent } else { &self.other };
            worker.send(job).map_err(|_| anyhow!("the worker has ended"))?;
            self.running += 1;
        }
        let first = if wait && self.running > 0 { Some(self.done.recv()?) } else { None };
        for done in first.into_iter().chain(self.done.try_iter()) {
            self.running -= 1;
            store.finish(done)?;
        }
        Ok(())
    }

    /// Until nothing is due.
    fn drain(&mut self, store: &mut Store) -> Result<()> {
        loop {
            self.step(store, true)?;
            if self.running == 0 {
                self.step(store, false)?;
                if self.running == 0 {
                    return Ok(());
                }
            }
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The most memory that the process ever had resident.
fn peak_rss_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}
