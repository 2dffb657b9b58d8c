//! Work in the background: what is due, run elsewhere, and taken in by the owner.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::DatasetName;

use crate::backup::{Backup, Queue};
use crate::compact::{Compacted, Compaction};
use crate::disk::Lease;
use crate::flush::Flush;
use crate::lifecycle::{Aged, Aging, Doomed};
use crate::partition::PartitionKey;
use crate::prepare::Uncommitted;
use crate::{Store, StoreError};

/// How long failed work rests before it is tried again, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// How long nothing is looked for where nothing was due and nothing changed since, in milliseconds.
const LOOK_AGAIN_MS: u64 = 60_000;

/// Told of bytes that were read or written, and may wait before it returns.
pub(crate) type Pace<'p> = &'p dyn Fn(u64);

/// A piece of background work. It holds what it needs and may run on any thread.
#[derive(Debug)]
pub struct Job {
    work: Work,
    on: On,
    lease: Lease,
}

#[derive(Debug)]
enum Work {
    Flush(Flush),
    Compact(Compaction),
    Age(Aging),
    Backup(Box<Backup>),
}

/// A job's result, for [`Store::finish`].
#[derive(Debug)]
pub struct Done {
    result: Result<Change, StoreError>,
    kind: Kind,
    on: On,
    /// What was written and is not taken in is removed with the result.
    _lease: Lease,
}

#[derive(Debug)]
enum Change {
    Flush(Uncommitted),
    Compact(Compacted),
    Age(Aged),
    /// Who asked for it was told already.
    Backup,
}

/// The partition that work is on, where it is on one.
pub(crate) type On = Option<(DatasetName, PartitionKey)>;

/// Jobs of one kind run one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flush,
    Compact,
    Age,
    Backup,
}

/// Which jobs are out, and since when failed ones rest.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    flushing: Slot,
    compacting: Slot,
    aging: Slot,
    copying: Slot,
    /// Partitions that work other than a flush is on.
    in_work: BTreeSet<(DatasetName, PartitionKey)>,
    /// How often work on a partition failed since it last succeeded; none where its segments are damaged.
    failures: BTreeMap<(DatasetName, PartitionKey), Option<u32>>,
    pub(crate) doomed: Doomed,
    /// Whether sweeping comes before moving to cold storage.
    pub(crate) sweeps_next: bool,
    pub(crate) backup: Queue,
}

#[derive(Debug, Default)]
struct Slot {
    busy: bool,
    failed: bool,
    rests_until_ms: u64,
    /// When it was found that nothing is due; none where something changed since.
    idle_since_ms: Option<u64>,
}

impl Slot {
    /// Whether a job may start now.
    fn is_free(&mut self, now_ms: u64) -> bool {
        if std::mem::take(&mut self.failed) {
            self.rests_until_ms = now_ms.saturating_add(RETRY_MS);
        }
        // A clock that was set back does not make it rest longer.
        let rests = now_ms < self.rests_until_ms && self.rests_until_ms <= now_ms.saturating_add(RETRY_MS);
        !self.busy && !rests
    }

    /// Whether it is time to look for work.
    fn looks(&mut self, now_ms: u64) -> bool {
        let is_idle = |since: u64| since <= now_ms && now_ms < since.saturating_add(LOOK_AGAIN_MS);
        self.is_free(now_ms) && !self.idle_since_ms.is_some_and(is_idle)
    }

    /// Takes note of what was found.
    fn found<T>(&mut self, work: Option<T>, now_ms: u64) -> Option<T> {
        self.busy = work.is_some();
        self.idle_since_ms = work.is_none().then_some(now_ms);
        work
    }
}

impl Schedule {
    /// The state changed: there may be work again.
    pub(crate) fn wake(&mut self) {
        for slot in [&mut self.compacting, &mut self.aging] {
            slot.idle_since_ms = None;
        }
    }

    /// Whether work other than a flush is on a partition.
    pub(crate) fn is_in_work(&self, dataset: &DatasetName, partition: &PartitionKey) -> bool {
        self.in_work.contains(&(dataset.clone(), partition.clone()))
    }

    /// How often work on a partition failed; none where it is to be left alone.
    pub(crate) fn failures(&self, dataset: &DatasetName, partition: &PartitionKey) -> Option<u32> {
        if self.is_in_work(dataset, partition) {
            return None;
        }
        self.failures.get(&(dataset.clone(), partition.clone())).copied().unwrap_or(Some(0))
    }

    fn ended(&mut self, kind: Kind, on: On, failed: Option<&StoreError>) {
        let slot = match kind {
            Kind::Flush => &mut self.flushing,
            Kind::Compact => &mut self.compacting,
            Kind::Age => &mut self.aging,
            Kind::Backup => &mut self.copying,
        };
        (slot.busy, slot.failed) = (false, failed.is_some());
        slot.idle_since_ms = None;
        let Some(on) = on else { return };
        self.in_work.remove(&on);
        match failed {
            None => drop(self.failures.remove(&on)),
            Some(error) if error.segment_problem().is_some() => drop(self.failures.insert(on, None)),
            Some(_) => {
                let failures = self.failures.entry(on).or_insert(Some(0));
                *failures = failures.map(|count| count.saturating_add(1));
            }
        }
    }
}

impl Job {
    /// Whether commits may have to wait for this work, so that it is not to be slowed down.
    pub fn is_urgent(&self) -> bool {
        matches!(self.work, Work::Flush(_))
    }

    /// Does the work. `pace` is told of every few bytes read or written and may wait, to leave the disk to others.
    pub fn run(self, pace: &dyn Fn(u64)) -> Done {
        let Self { work, on, lease } = self;
        let (result, kind) = match work {
            Work::Flush(flush) => (flush.run(pace).map(Change::Flush), Kind::Flush),
            Work::Compact(compaction) => (compaction.run(pace).map(Change::Compact), Kind::Compact),
            Work::Age(aging) => (aging.run(pace).map(Change::Age), Kind::Age),
            Work::Backup(backup) => {
                backup.run(pace);
                (Ok(Change::Backup), Kind::Backup)
            }
        };
        Done { result, kind, on, _lease: lease }
    }
}

impl Store {
    /// The next background work that is due; none where there is none, or it is being done.
    pub fn next_job(&mut self, now_ms: u64) -> Option<Job> {
        if let Some(refusal) = self.health().refusal() {
            self.drop_backup(refusal);
            return None;
        }
        self.probe();
        if let Some(flush) = self.next_flush(now_ms) {
            return Some(flush);
        }
        if let Some(backup) = self.next_backup() {
            return Some(self.start(Work::Backup(Box::new(backup)), None));
        }
        if self.jobs.aging.looks(now_ms) {
            let aging = self.aging(now_ms);
            if let Some((aging, on)) = self.jobs.aging.found(aging, now_ms) {
                return Some(self.start(Work::Age(aging), on));
            }
        }
        if self.jobs.compacting.looks(now_ms) {
            let compaction = self.compaction(now_ms);
            if let Some(compaction) = self.jobs.compacting.found(compaction, now_ms) {
                let on = Some((compaction.dataset.clone(), compaction.partition.clone()));
                return Some(self.start(Work::Compact(compaction), on));
            }
        }
        // What is due may have to wait for recent rows, which are frozen since.
        self.next_flush(now_ms)
    }

    fn start(&mut self, work: Work, on: On) -> Job {
        self.jobs.in_work.extend(on.clone());
        Job { work, on, lease: self.lease.clone() }
    }

    fn next_flush(&mut self, now_ms: u64) -> Option<Job> {
        if self.frozen.is_none() || !self.jobs.flushing.is_free(now_ms) {
            return None;
        }
        self.jobs.flushing.busy = true;
        let work = Work::Flush(self.flush_job());
        Some(self.start(work, None))
    }

    /// Whether recent rows are on their way into segments elsewhere.
    pub(crate) fn is_flushing(&self) -> bool {
        self.jobs.flushing.busy
    }

    /// Lets the recent rows become segments, however few they are. The next job does it.
    pub fn freeze_recent(&mut self) {
        self.freeze();
    }

    /// Takes the result of a job in.
    ///
    /// # Errors
    /// Where the job or its edit of the manifest failed. The state is as before; the job comes again, unless it met a
    /// damaged segment: then that partition is left as it is.
    pub fn finish(&mut self, done: Done) -> Result<(), StoreError> {
        let Done { result, kind, on, _lease } = done;
        let finished = result.and_then(|change| match change {
            Change::Flush(written) => self.finish_flush(written),
            Change::Compact(done) => self.finish_compaction(done),
            Change::Age(done) => self.finish_aging(done),
            Change::Backup => {
                self.jobs.backup = Queue::Empty;
                Ok(())
            }
        });
        self.jobs.ended(kind, on, finished.as_ref().err());
        match &finished {
            Ok(()) if kind == Kind::Flush => self.change_health(|health| health.hindered = None),
            Ok(()) => {}
            Err(error) => {
                self.note_damage(error);
                tracing::warn!(%error, "background work failed");
            }
        }
        match finished {
            Err(error) if kind == Kind::Flush => Err(self.hindered(error)),
            finished => finished,
        }
    }

    /// Lets everybody know of a segment that cannot be read.
    fn note_damage(&self, error: &StoreError) {
        let Some(problem) = error.segment_problem() else { return };
        let StoreError::Segment { path, .. } = error else { return };
        let damage = StoreError::Segment { path: path.clone(), problem: problem.clone() };
        self.change_health(|health| {
            let text = damage.to_string();
            if health.damage.iter().all(|known| known.to_string() != text) {
                health.damage.push(std::sync::Arc::new(damage));
            }
        });
    }
}
