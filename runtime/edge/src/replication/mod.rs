//! Replication at work: for each set a task that asks the other regions, answers them, and has the store apply what came.

mod copies;
mod driver;
pub(crate) mod faces;
mod rows;
mod travel;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domicile_query::{Region, watch_routes};
use domicile_sync::{Answer, Applier, Pull, Replica, ReplicaStatus};
use domicile_types::{Acknowledge, DatasetName, RegionId, ReplicationSet, SetName, Vector, limits};
use domicile_wire::Problem;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::problems::Refusal;
use driver::Driver;
use rows::Rows;

/// What the task of a set is told.
#[derive(Debug)]
enum Command {
    /// Another region asks.
    Question { region: RegionId, pull: Pull, reply: oneshot::Sender<Answer> },
    /// Another region answered, or did not.
    Answered { region: RegionId, answer: Option<Answer> },
    /// How is it?
    Status(oneshot::Sender<ReplicaStatus>),
}

/// What each region is known to have for good.
type Acked = BTreeMap<RegionId, Vector>;

/// The replication sets that a region takes part in, at work. They stop with it.
#[derive(Debug, Default)]
pub struct Replication {
    sets: BTreeMap<SetName, Part>,
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
    /// What the other regions are known to have for good.
    acked: watch::Receiver<Acked>,
    task: AbortHandle,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replication {
    /// Starts to replicate these sets, as far as the region is in them.
    pub fn start(region: &Arc<Region>, sets: Vec<ReplicationSet>, applier: &Arc<Applier>) -> Self {
        let own = sets.into_iter().filter(|set| set.regions.contains(region.id()));
        let part = |set: ReplicationSet| {
            let rows = Rows::of(region, &set)?;
            let (commands, waiting) = mpsc::channel(limits::PULLS_WAITING_MAX);
            let fenced = Arc::new(AtomicBool::new(false));
            let replica = Replica::new(set.clone(), region.id().clone());
            let (publish, acked) = watch::channel(Acked::new());
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
            };
            let task = tokio::spawn(driver.run()).abort_handle();
            Some((set.name.clone(), Part { set, rows, commands, fenced, acked, task }))
        };
        let watching = Some(Watching(tokio::spawn(watch_routes(Arc::clone(region))).abort_handle()));
        Self { sets: own.filter_map(part).collect(), _watching: watching }
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

    /// The answer to a question of another region.
    async fn ask(&self, region: RegionId, pull: Pull) -> Answer {
        let Some(part) = self.sets.get(&pull.set) else { return Answer::NotPermitted };
        let nothing = Answer::Entries { entries: Vec::new(), more: false };
        let (reply, answered) = oneshot::channel();
        match part.commands.send(Command::Question { region, pull, reply }).await {
            Ok(()) => answered.await.unwrap_or(nothing),
            Err(_) => nothing,
        }
    }
}

impl Part {
    async fn acknowledged(&self, region: &Region, level: Acknowledge) -> Result<(), Refusal> {
        let Acknowledge::Jurisdiction { copies } = level else { return Ok(()) };
        let (copies, set) = (usize::from(copies), &self.set.name);
        let here = region.id();
        let possible = self.set.regions.iter().filter(|other| *other == here || region.shares_law(other)).count();
        if possible < copies {
            return Err(Refusal::bad_request(format!(
                "{copies} copies are wanted in one jurisdiction, and {possible} of the regions of `{set}` are in it; ask \
                 for fewer, or leave `Acknowledge` out. The rows are stored here"
            )));
        }
        let applied = region.store().snapshot().applied.get(set).cloned().unwrap_or_default();
        let Some((origin, seq)) = applied.iter().filter(|(origin, _)| origin.region == *here).last() else {
            return Ok(());
        };
        let have = |acked: &Acked| {
            1 + acked.iter().filter(|(other, acked)| region.shares_law(other) && acked.get(origin) >= seq).count()
        };
        let mut acked = self.acked.clone();
        let enough = acked.wait_for(|acked| have(acked) >= copies);
        let waited = tokio::time::timeout(Duration::from_millis(limits::ACKNOWLEDGE_TIMEOUT_MS), enough).await;
        if matches!(waited, Ok(Ok(_))) {
            return Ok(());
        }
        let have = have(&self.acked.borrow());
        let detail = format!(
            "the rows are stored here and will reach the others, but only {have} of {copies} regions of one jurisdiction \
             have them by now; `domicile sync status` shows which do not answer. Nothing has to be sent again"
        );
        Err(Refusal::new(Problem::new(504, "not-acknowledged", "Too few regions have the rows yet", detail)))
    }
}
