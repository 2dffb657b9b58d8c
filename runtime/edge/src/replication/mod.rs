//! Replication at work: for each set a task that asks the other regions, answers them, and has the store apply what came.

mod driver;
pub(crate) mod faces;
mod travel;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domicile_query::Region;
use domicile_sync::{Answer, Applier, Pull, Replica, ReplicaStatus};
use domicile_types::{DatasetName, RegionId, ReplicationSet, SetName, limits};
use domicile_wire::Problem;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::problems::Refusal;
use driver::Driver;

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

/// The replication sets that a region takes part in, at work. They stop with it.
#[derive(Debug, Default)]
pub struct Replication {
    sets: BTreeMap<SetName, Part>,
}

#[derive(Debug)]
struct Part {
    set: ReplicationSet,
    commands: mpsc::Sender<Command>,
    /// Whether this region's clock is so far ahead that it takes no writes.
    fenced: Arc<AtomicBool>,
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
            let (commands, waiting) = mpsc::channel(limits::PULLS_WAITING_MAX);
            let fenced = Arc::new(AtomicBool::new(false));
            let replica = Replica::new(set.clone(), region.id().clone());
            let driver = Driver {
                region: Arc::clone(region),
                replica: Some(replica),
                applier: Arc::clone(applier),
                waiting,
                commands: commands.downgrade(),
                lying: Vec::new(),
                fenced: Arc::clone(&fenced),
            };
            let task = tokio::spawn(driver.run()).abort_handle();
            (set.name.clone(), Part { set, commands, fenced, task })
        };
        Self { sets: own.map(part).collect() }
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
