//! The store's background work, as a region has it done.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use domicile_store::{Done, Job, Store};
use domicile_types::limits;

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

/// A thread that flushes, and one that does the other background work at the pace that is normal in a region.
pub(crate) struct Background {
    urgent: Sender<Job>,
    other: Sender<Job>,
    done: Receiver<Done>,
    running: usize,
    threads: [JoinHandle<()>; 2],
}

impl Background {
    pub(crate) fn start() -> Self {
        let (finished, done) = channel();
        let (urgent, flushing) = worker(finished.clone(), None);
        let (other, working) = worker(finished, Some(limits::COMPACTION_BYTES_PER_S_DEFAULT));
        Self { urgent, other, done, running: 0, threads: [flushing, working] }
    }

    /// Waits for the threads.
    pub(crate) fn end(self) -> Result<()> {
        let Self { urgent, other, threads, .. } = self;
        drop((urgent, other));
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("background work panicked")))
    }

    /// Hands out what is due and takes in what is done; waits for one result where asked to.
    pub(crate) fn step(&mut self, store: &mut Store, wait: bool) -> Result<()> {
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
    pub(crate) fn drain(&mut self, store: &mut Store) -> Result<()> {
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

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
