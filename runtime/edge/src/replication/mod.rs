//! Replication at work: for each set a task that asks the other regions, answers them, and has the store apply what came.

mod acknowledge;
mod copies;
mod driver;
pub(crate) mod faces;
mod gauges;
pub(crate) mod pauses;
pub(crate) mod replay;
mod rows;
mod rule;
pub(crate) mod status;
mod travel;
mod turn;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domicile_query::{QueryError, Region, watch_routes};
use domicile_store::StoreError;
use domicile_sync::{Answer, Applier, News, Pauses, Policy, Pull, Replica, ReplicaStatus};
use domicile_types::{Acknowledge, DatasetName, LogLink, RegionId, ReplicationSet, SetName, Vector, limits};
use domicile_wire::Problem;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::problems::Refusal;
use driver::Driver;
pub(crate) use gauges::ReplicationGauges;
use pauses::{PauseChange, PauseFile};
use rows::Rows;
use travel::Arrived;

/// What the task of a set is told.
#[derive(Debug)]
enum Command {
    /// Another region asks.
    Question { region: RegionId, pull: Pull, reply: oneshot::Sender<Answer> },
    /// Another region answered, or did not.
    Answered { region: RegionId, answer: Option<Arrived> },
    /// How is it?
    Status(oneshot::Sender<ReplicaStatus>),
    /// Somebody wants it paused, or to go on.
    Pause { change: PauseChange, reply: oneshot::Sender<Result<Pauses, StoreError>> },
}

/// How entries come from each other region.
pub type Links = BTreeMap<RegionId, LogLink>;

/// What is known of the other regions.
#[derive(Debug, Clone, Default)]
struct Known {
    /// What each has for good.
    acked: BTreeMap<RegionId, Vector>,
    /// Those that ask this one for nothing, since it is paused there, and since when.
    paused_ms: BTreeMap<RegionId, u64>,
}

/// The replication sets that a region takes part in, at work. They stop with it.
#[derive(Debug, Default)]
pub struct Replication {
    sets: BTreeMap<SetName, Part>,
    applier: Arc<Applier>,
    /// Looks how far away the regions are that stand in for each other.
    _watching: Option<Watching>,
}

/// A task that ends with this.
#[derive(Debug)]
struct Watching(AbortHandle);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Part {
    set: ReplicationSet,
    rows: Rows,
    commands: mpsc::Sender<Command>,
    /// Whether this region's clock is so far ahead that it takes no writes.
    fenced: Arc<AtomicBool>,
    known: watch::Receiver<Known>,
    /// How it was at the end of the last turn.
    status: watch::Receiver<ReplicaStatus>,
    task: AbortHandle,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replication {
    /// Starts to replicate these sets, as far as the region is in them, and settles conflicts as the datasets' policies
    /// say. What is paused is kept in its data directory.
    ///
    /// # Errors
    /// Where it cannot be read what is paused.
    pub fn start(
        region: &Arc<Region>,
        sets: Vec<ReplicationSet>,
        policies: BTreeMap<DatasetName, Policy>,
        links: &Links,
        data_dir: &Path,
    ) -> Result<Self, QueryError> {
        let applier = Arc::new(rule::applier(region, policies));
        let own = sets.into_iter().filter(|set| set.regions.contains(region.id()));
        let mut parts = BTreeMap::new();
        for set in own {
            if let Some(rows) = Rows::of(region, &set) {
                parts.insert(set.name.clone(), Part::start(region, (set, rows), &applier, links, data_dir)?);
            }
        }
        let watching = Some(Watching(tokio::spawn(watch_routes(Arc::clone(region))).abort_handle()));
        Ok(Self { sets: parts, applier, _watching: watching })
    }

    /// Holds where rows of a dataset may be written here now.
    ///
    /// # Errors
    /// Where too many other regions find this one's clock ahead.
    pub(crate) fn check_clock(&self, dataset: &DatasetName) -> Result<(), Refusal> {
        let fenced = |part: &&Part| part.set.datasets.contains(dataset) && part.fenced.load(Ordering::Relaxed);
        if !self.sets.values().any(|part| fenced(&part)) {
            return Ok(());
        }
        let max_ms = limits::CLOCK_DRIFT_MS_MAX;
        let detail = format!(
            "other regions find this one's clock more than {max_ms} ms ahead, so that rows written here would count before \
             later ones of theirs; set the clock right and try again"
        );
        Err(Refusal::new(Problem::new(503, "clock-ahead", "The clock is ahead", detail)))
    }

    /// Waits until what this region has written of a dataset counts as stored: as the set says, or `wanted`.
    ///
    /// # Errors
    /// Where too few regions can have it, or they do not in time. The rows are stored here all the same.
    pub(crate) async fn acknowledged(
        &self,
        region: &Region,
        dataset: &DatasetName,
        wanted: Option<Acknowledge>,
    ) -> Result<(), Refusal> {
        let part = self.sets.values().find(|part| part.set.datasets.contains(dataset));
        match (part, wanted) {
            (Some(part), wanted) => part.acknowledged(region, wanted.unwrap_or(part.set.acknowledge)).await,
            (None, Some(Acknowledge::Jurisdiction { .. })) => Err(Refusal::bad_request(format!(
                "`{dataset}` is in no replication set, so no other region will have its rows; leave `Acknowledge` out"
            ))),
            (None, _) => Ok(()),
        }
    }

    /// The set that a dataset is in.
    pub(crate) fn set_of(&self, dataset: &DatasetName) -> Option<&SetName> {
        self.sets.values().find(|part| part.set.datasets.contains(dataset)).map(|part| &part.set.name)
    }

    /// The sets that this region takes part in.
    pub(crate) fn names(&self) -> impl Iterator<Item = &SetName> {
        self.sets.keys()
    }

    /// Whether all or a part of a set is paused here.
    pub(crate) fn is_paused(&self, set: &SetName) -> bool {
        self.sets.get(set).is_some_and(|part| !part.status.borrow().pauses.is_empty())
    }

    /// The answer to a question of another region.
    async fn ask(&self, region: RegionId, pull: Pull) -> Answer {
        let Some(part) = self.sets.get(&pull.set) else { return Answer::NotPermitted };
        let nothing = Answer::Entries { entries: Vec::new(), more: false, news: News::default() };
        let (reply, answered) = oneshot::channel();
        match part.commands.send(Command::Question { region, pull, reply }).await {
            Ok(()) => answered.await.unwrap_or(nothing),
            Err(_) => nothing,
        }
    }
}

impl Part {
    fn start(
        region: &Arc<Region>,
        (set, rows): (ReplicationSet, Rows),
        applier: &Arc<Applier>,
        links: &Links,
        data_dir: &Path,
    ) -> Result<Self, QueryError> {
        let (commands, waiting) = mpsc::channel(limits::PULLS_WAITING_MAX);
        let fenced = Arc::new(AtomicBool::new(false));
        let pause_file = PauseFile::of(data_dir, &set.name);
        let mut replica = Replica::new(set.clone(), region.id().clone());
        replica.pause(pause_file.read()?);
        for (peer, link) in links {
            if let Some(bytes_per_s) = link.bytes_per_s_max {
                replica = replica.limited(peer, bytes_per_s);
            }
        }
        let (publish, known) = watch::channel(Known::default());
        let (status, shown) = watch::channel(ReplicaStatus::default());
        let driver = Driver {
            region: Arc::clone(region),
            rows: rows.clone(),
            set: Arc::new(set.clone()),
            replica: Some(replica),
            applier: Arc::clone(applier),
            waiting,
            commands: commands.downgrade(),
            lying: Vec::new(),
            fenced: Arc::clone(&fenced),
            publish,
            status,
            pause_file,
            links: links.clone(),
        };
        let task = tokio::spawn(driver.run()).abort_handle();
        Ok(Self { set, rows, commands, fenced, known, status: shown, task })
    }
}
