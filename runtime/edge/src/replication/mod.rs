//! Replication at work: for each set a task that asks the other regions, answers them, and has the store apply what came.

mod acknowledge;
mod copies;
mod driver;
pub(crate) mod faces;
mod gauges;
mod messages;
pub(crate) mod operate;
pub(crate) mod pauses;
pub(crate) mod replay;
mod roles;
mod rows;
mod rule;
mod snapshots;
pub(crate) mod status;
mod travel;
mod turn;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domicile_query::{QueryError, Region, watch_routes};
use domicile_store::{Offer, StoreError};
use domicile_sync::{
    Answer, Applier, News, Pauses, Policy, Pull, ReplicaStatus, SnapshotAnswer, SnapshotAsk, Standing,
};
use domicile_types::{Acknowledge, DatasetName, LogLink, RegionId, ReplicationSet, SetName, Vector, limits};
use domicile_wire::Problem;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::problems::Refusal;
use driver::Driver;
pub(crate) use gauges::ReplicationGauges;
use pauses::{PauseChange, PauseFile};
use roles::{Report, Roles};
use rows::Rows;
use travel::Arrived;
use turn::{Asked, GivenUp};

/// What the task of a set is told.
#[derive(Debug)]
enum Command {
    /// Another region asks.
    Question { region: RegionId, pull: Pull, reply: oneshot::Sender<Answer> },
    /// Another region answered, or did not.
    Answered { region: RegionId, answer: Option<Arrived> },
    /// Another region asks for a snapshot.
    Asked(Asked),
    /// Another region answered about a snapshot, or did not.
    Told { region: RegionId, answer: Option<SnapshotAnswer> },
    /// A snapshot was put into files, or could not be.
    Made { region: RegionId, offer: Box<Result<Offer, StoreError>> },
    /// Somebody gives a region up.
    GiveUp(GivenUp),
    /// How is it?
    Report(oneshot::Sender<Report>),
    /// Somebody wants it paused, or to go on.
    Pause { change: PauseChange, reply: oneshot::Sender<Result<Pauses, StoreError>> },
}

/// Whether rows may be written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Footing {
    standing: Standing,
    /// Whether it takes no rows, since it is no member now or its clock is ahead.
    is_fenced: bool,
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
    footing: watch::Receiver<Footing>,
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

    /// Holds where rows of a dataset may be written here now. Waits a while for a region that has just started to know.
    ///
    /// # Errors
    /// Where this region does not take part, or too many others find its clock ahead.
    pub(crate) async fn check_writable(&self, dataset: &DatasetName) -> Result<(), Refusal> {
        // Where one region writes, it always may.
        let is_of = |part: &&Part| part.set.home.is_none() && part.set.datasets.contains(dataset);
        let Some(part) = self.sets.values().find(is_of) else { return Ok(()) };
        let mut footing = part.footing.clone();
        let known = footing.wait_for(|footing| footing.standing != Standing::Unsure);
        // Where it is not known in time, or the task has ended, what is known last counts.
        let _ = tokio::time::timeout(Duration::from_millis(limits::FOOTING_WAIT_MS), known).await;
        let Footing { standing, is_fenced } = *part.footing.borrow();
        match standing {
            Standing::Member if is_fenced => Err(clock_ahead()),
            Standing::Member => Ok(()),
            other => Err(no_member(&part.set.name, other)),
        }
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
        let is_written = |part: &&Part| part.set.is_own_of(region.id()) && part.set.datasets.contains(dataset);
        let part = self.sets.values().find(is_written);
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

    /// The answer to what another region asks of a snapshot.
    async fn ask_snapshot(&self, region: RegionId, ask: SnapshotAsk) -> SnapshotAnswer {
        let (SnapshotAsk::List { set, .. } | SnapshotAsk::Part { set, .. }) = &ask;
        let Some(part) = self.sets.get(set) else { return SnapshotAnswer::NotPermitted };
        let (reply, answered) = oneshot::channel();
        match part.commands.send(Command::Asked(Asked { region, ask, reply })).await {
            Ok(()) => answered.await.unwrap_or(SnapshotAnswer::Gone),
            Err(_) => SnapshotAnswer::Gone,
        }
    }
}

fn clock_ahead() -> Refusal {
    let max_ms = limits::CLOCK_DRIFT_MS_MAX;
    let detail = format!(
        "other regions find this one's clock more than {max_ms} ms ahead, so that rows written here would count before \
         later ones of theirs; set the clock right and try again"
    );
    Refusal::new(Problem::new(503, "clock-ahead", "The clock is ahead", detail))
}

fn no_member(set: &SetName, standing: Standing) -> Refusal {
    let why = match standing {
        Standing::Unsure => {
            "this region has nothing of it yet, and has not heard from all others whether that is so since it never wrote \
             or since it lost what it had"
        }
        Standing::Out => "this region was given up, and comes back with a snapshot of another region",
        _ => "this region starts from a snapshot of another region first",
    };
    let detail = format!(
        "rows of replication set `{set}` cannot be written here now: {why}. Try again later, or write at another region; \
         `domicile sync status` shows how far it is"
    );
    Refusal::new(Problem::new(503, "not-a-member", "The region does not take part yet", detail))
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
        let (tell, footing) = watch::channel(Footing::default());
        let pause_file = PauseFile::of(data_dir, &set.name);
        let roles = Roles::new(set.clone(), region.id().clone(), links.clone(), pause_file.read()?);
        let (publish, known) = watch::channel(Known::default());
        let (status, shown) = watch::channel(ReplicaStatus::default());
        let driver = Driver {
            region: Arc::clone(region),
            rows: rows.clone(),
            set: Arc::new(set.clone()),
            roles: Some(roles),
            applier: Arc::clone(applier),
            waiting,
            commands: commands.downgrade(),
            lying: Vec::new(),
            footing: tell,
            publish,
            status,
            pause_file,
            links: links.clone(),
            reporting: Vec::new(),
        };
        let task = tokio::spawn(driver.run()).abort_handle();
        Ok(Self { set, rows, commands, footing, known, status: shown, task })
    }
}
