//! One region: its disk, its store, its part in the set, and what it is waiting for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use domicile_store::{
    Batch, DatasetSpec, Disk, EntryProblem, Format, Noting, Operation, Sizes, Source, Store, StoreError, StoreParts,
};
use domicile_sync::{Applier, Joiner, LogLag, Pauses, Policy, Pull, Replica, Sponsor, Standing, SyncError, log_change};
use domicile_types::{Change, DatasetName, Dot, Hlc, Mark, Origin, Vector};

use crate::disk::{Lies, SimDisk};
use crate::reader::Cache;
use crate::rng::Rng;
use crate::tables::{self, Rule};

/// How long an answer is waited for.
pub(crate) const ANSWER_MS: u64 = 8_000;
/// How long a question may lie before it is answered with nothing.
pub(crate) const LIE_MS: u64 = 3_000;

/// A question that there is nothing to say to yet.
#[derive(Debug)]
pub(crate) struct Lying {
    pub(crate) from: usize,
    pub(crate) number: u64,
    pub(crate) pull: Pull,
    pub(crate) until_ms: u64,
}

pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) disk: SimDisk,
    pub(crate) store: Option<Store>,
    pub(crate) replica: Replica,
    pub(crate) joiner: Option<Joiner>,
    pub(crate) sponsor: Sponsor,
    retained_bytes_max: u64,
    lies: Lies,
    /// Whether it has ever been there.
    pub(crate) is_born: bool,
    /// Whether it lost its disk and did not come back yet.
    pub(crate) is_lost: bool,
    applier: Applier,
    noting: BTreeMap<DatasetName, Arc<dyn Noting>>,
    sizes: Sizes,
    regions: usize,
    rule: Rule,
    /// Whether its items have the further column.
    pub(crate) is_wide: bool,
    /// Whether an entry waits for that.
    pub(crate) is_parked: bool,
    /// By how much its clock is ahead.
    pub(crate) skew_ms: i64,
    /// What is paused, over starts.
    pub(crate) pauses: Pauses,
    /// Questions under way: to whom, and until when the answer is waited for.
    pub(crate) asked: BTreeMap<u64, (usize, u64)>,
    pub(crate) lying: Vec<Lying>,
    /// When a region that is down comes back.
    pub(crate) down_until_ms: u64,
    /// What it had applied when it was last looked at.
    pub(crate) seen: Vector,
    pub(crate) cache: Cache,
    /// Persons whose rows it took.
    pub(crate) persons: BTreeSet<i64>,
    #[cfg(feature = "planted-bugs")]
    pub(crate) planted: Option<domicile_store::Planted>,
    #[cfg(feature = "planted-bugs")]
    pub(crate) sync: Option<domicile_sync::Planted>,
}

impl Node {
    pub(crate) fn new(index: usize, regions: usize, rule: Rule, rng: &mut Rng, lies: Lies) -> Self {
        Self {
            index,
            disk: SimDisk::new(rng.next(), lies),
            store: None,
            replica: Replica::new(tables::set(regions), tables::region(index)),
            joiner: None,
            sponsor: Sponsor::new(tables::set(regions)),
            retained_bytes_max: *rng.pick(&[1, 3_000, u64::MAX]),
            lies,
            is_born: index < regions,
            is_lost: false,
            applier: Applier::new(policies(rule, false)),
            noting: notings(rule, false),
            rule,
            is_wide: false,
            is_parked: false,
            sizes: sizes(rng),
            regions,
            skew_ms: 0,
            pauses: Pauses::default(),
            asked: BTreeMap::new(),
            lying: Vec::new(),
            down_until_ms: 0,
            seen: Vector::default(),
            cache: Cache::new(),
            persons: BTreeSet::new(),
            #[cfg(feature = "planted-bugs")]
            planted: None,
            #[cfg(feature = "planted-bugs")]
            sync: None,
        }
    }

    /// What its clock shows.
    pub(crate) fn clock_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.skew_ms)
    }

    pub(crate) fn open(&mut self) -> Result<(), StoreError> {
        let store = Store::open(StoreParts {
            disk: Arc::new(self.disk.process()) as Arc<dyn Disk>,
            dir: PathBuf::from("/data/store"),
            region: tables::region(self.index),
            specs: tables::specs(self.is_wide),
            sets: tables::sets(),
            noting: self.noting.clone(),
            cold: None,
            sizes: self.sizes.clone(),
            #[cfg(feature = "planted-bugs")]
            planted: self.planted,
        })?;
        self.begin(&store)?;
        self.store = Some(store);
        Ok(())
    }

    /// Takes part anew.
    fn begin(&mut self, store: &Store) -> Result<(), StoreError> {
        let set = tables::set(self.regions);
        self.replica = Replica::new(set.clone(), tables::region(self.index)).retaining(self.retained_bytes_max);
        self.sponsor = Sponsor::new(set);
        self.joiner = Some(Joiner::new(tables::set_name(), store)?);
        #[cfg(feature = "planted-bugs")]
        {
            let replica = Replica::new(tables::set(self.regions), tables::region(self.index));
            self.replica = replica.retaining(self.retained_bytes_max).planted(self.sync);
            self.sponsor = Sponsor::new(tables::set(self.regions)).planted(self.sync);
            self.applier = Applier::new(policies(self.rule, self.is_wide)).planted(self.sync);
        }
        if self.is_lost || self.joiner.as_ref().is_some_and(Joiner::is_under_way) {
            let replica = std::mem::replace(
                &mut self.replica,
                Replica::new(tables::set(self.regions), tables::region(self.index)),
            );
            self.replica = replica.anew();
        }
        self.replica.pause(self.pauses.clone());
        Ok(())
    }

    /// Is described anew before its next start.
    pub(crate) fn widen(&mut self) {
        self.is_wide = true;
        self.applier = Applier::new(policies(self.rule, true));
        self.noting = notings(self.rule, true);
    }

    /// Loses its disk for good, and gets an empty one.
    pub(crate) fn destroy(&mut self, rng: &mut Rng) {
        self.close();
        self.disk = SimDisk::new(rng.next(), self.lies);
        self.seen = Vector::default();
        self.persons.clear();
        self.is_lost = true;
    }

    /// Whether it is of the set from the beginning.
    pub(crate) fn is_founder(&self) -> bool {
        self.index < self.regions
    }

    /// Whether it takes part.
    pub(crate) fn is_member(&self) -> bool {
        self.store.is_some() && self.replica.standing() == Standing::Member
    }

    /// Logs what this region has to say of the members; sets aside what came of logs that ended.
    pub(crate) fn look_after_members(&mut self, now_ms: u64) -> Result<Vec<Change>, SyncError> {
        let clock_ms = self.clock_ms(now_ms);
        let store = self.store.as_mut().unwrap();
        let set = tables::set_name();
        let strays = self.replica.strays(store.set_state(&set));
        store.set_aside(&strays)?;
        let changes = self.replica.changes(store.set_state(&set), &store.origin());
        for change in &changes {
            log_change(store, &set, change.clone(), clock_ms)?;
        }
        #[cfg(feature = "planted-bugs")]
        self.sponsor.say_late(store, clock_ms)?;
        if let Some((region, job)) = self.sponsor.job() {
            self.sponsor.made(&region, job.run());
        }
        Ok(changes)
    }

    /// Lets a snapshot count that has come.
    pub(crate) fn install(&mut self) -> Result<Option<Origin>, SyncError> {
        let (Some(store), Some(joiner)) = (&mut self.store, &mut self.joiner) else { return Ok(None) };
        let life = joiner.install(store)?;
        if life.is_some() {
            self.is_lost = false;
            let store = self.store.take().unwrap();
            let begun = self.begin(&store);
            self.store = Some(store);
            begun?;
            self.cache.clear();
            self.asked.clear();
            self.lying.clear();
        }
        Ok(life)
    }

    /// Forgets all that a process has in memory.
    pub(crate) fn close(&mut self) {
        self.store = None;
        self.asked.clear();
        self.cache.clear();
        self.lying.clear();
    }

    /// Whether it says that it is behind a log.
    pub(crate) fn is_behind(&self, now_ms: u64) -> bool {
        self.lags(now_ms).iter().any(|lag| (lag.entries, lag.bytes, lag.age_ms) != (0, 0, 0))
    }

    /// How far it is behind each log.
    pub(crate) fn lags(&self, now_ms: u64) -> Vec<LogLag> {
        let Some(store) = &self.store else { return Vec::new() };
        self.replica.status(store.set_state(&tables::set_name()), self.clock_ms(now_ms)).lags
    }

    pub(crate) fn applied(&self) -> Vector {
        self.store.as_ref().map(|store| store.set_state(&tables::set_name()).applied.clone()).unwrap_or_default()
    }

    /// Writes a batch of one dataset.
    pub(crate) fn write(&mut self, name: &str, delete: bool, rows: &str, now_ms: u64) -> Result<(), StoreError> {
        let clock_ms = self.clock_ms(now_ms);
        let store = self.store.as_mut().unwrap();
        let operation = if delete { Operation::Delete } else { Operation::Upsert };
        let batch = Batch { dataset: tables::dataset(name), operation, format: Format::Ndjson, idempotency_key: None };
        let source = Source::Stream(Box::new(std::io::Cursor::new(rows.to_owned().into_bytes())));
        let prepared = store.preparer().prepare(batch, source, clock_ms)?;
        store.commit(vec![prepared], clock_ms).swap_remove(0).map(drop)
    }

    /// The moment of an entry that counts here.
    pub(crate) fn moment(&self, dot: &Dot) -> Option<Hlc> {
        let located = self.store.as_ref()?.find(&tables::set_name(), std::slice::from_ref(dot));
        located.marks().next().map(|mark: &Arc<Mark>| mark.hlc)
    }

    /// The log that it writes.
    pub(crate) fn origin(&self) -> Origin {
        self.store.as_ref().map_or_else(|| Origin { region: tables::region(self.index), epoch: 0 }, Store::origin)
    }

    /// Applies what can be applied. Says how many entries that were, and why it stopped. What is from after a change of
    /// the datasets that is not made here waits.
    pub(crate) fn apply(&mut self, now_ms: u64) -> (usize, Option<String>) {
        let clock_ms = self.clock_ms(now_ms);
        let store = self.store.as_mut().unwrap();
        let set = tables::set_name();
        let ready = self.replica.ready(store.set_state(&set), clock_ms);
        self.is_parked = false;
        if ready.is_empty() {
            return (0, None);
        }
        let applied = self.applier.apply(store, ready, clock_ms);
        self.replica.put_back(applied.left, store.set_state(&set));
        let is_other = |problem: &SyncError| {
            matches!(problem, SyncError::Store(StoreError::Entry { problem: EntryProblem::Columns, .. }))
        };
        self.is_parked = !self.is_wide && applied.problem.as_ref().is_some_and(is_other);
        (applied.count, applied.problem.filter(|_| !self.is_parked).map(|problem| problem.to_string()))
    }

    /// Says in its log what it has applied, where that is due.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Result<bool, StoreError> {
        let (origin, clock_ms) = (self.origin(), self.clock_ms(now_ms));
        let is_due = self.replica.tick(self.store.as_mut().unwrap(), &origin, clock_ms);
        if is_due {
            self.write(tables::EVENT, false, "", now_ms)?;
        }
        Ok(is_due)
    }

    /// Does background work.
    pub(crate) fn work(&mut self, now_ms: u64) {
        let clock_ms = self.clock_ms(now_ms);
        let store = self.store.as_mut().unwrap();
        while let Some(job) = store.next_job(clock_ms) {
            if store.finish(job.run(&|_| {})).is_err() {
                return;
            }
        }
    }
}

fn notings(rule: Rule, wide: bool) -> BTreeMap<DatasetName, Arc<dyn Noting>> {
    policies(rule, wide).into_iter().filter_map(|(name, policy)| Some((name, policy.noting()?))).collect()
}

fn policies(rule: Rule, wide: bool) -> BTreeMap<DatasetName, Policy> {
    let replicated = tables::specs(wide).into_iter().filter(|spec| tables::sets().contains_key(&spec.dataset.name));
    let policy = |spec: DatasetSpec| {
        let policy = rule.policy_of(spec.dataset.name.as_str());
        (spec.dataset.name.clone(), Policy::new(policy, &spec).unwrap())
    };
    replicated.map(policy).collect()
}

/// Small enough that everything that happens to large stores happens here.
fn sizes(rng: &mut Rng) -> Sizes {
    Sizes {
        recent_bytes_max: *rng.pick(&[500, 2_000, 8_000]),
        log_file_bytes: *rng.pick(&[5_000, 8_000, 64_000]),
        manifest_bytes: *rng.pick(&[500, 3_000, 20_000]),
        segment_rows_max: *rng.pick(&[4, 16, 1_000]),
        compaction_fan_in: *rng.pick(&[2, 3, 4]),
        small_run_bytes: *rng.pick(&[1, 3_000, 256 * 1024]),
        ..Sizes::default()
    }
}
