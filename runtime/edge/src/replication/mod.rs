//! Replication at work: for each set a task that asks the other regions, answers them, and has the store apply what came.

mod driver;
pub(crate) mod faces;
pub(crate) mod operate;
mod roles;
mod travel;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domicile_query::Region;
use domicile_store::{Offer, StoreError};
use domicile_sync::{Answer, Applier, Pull, SnapshotAnswer, SnapshotAsk, Standing};
use domicile_types::{Acknowledge, DatasetName, RegionId, ReplicationSet, SetName, Vector, limits};
use domicile_wire::Problem;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::problems::Refusal;
use driver::Driver;
use roles::{Report, Roles};
use turn::{Asked, GivenUp};

/// What the task of a set is told.
#[derive(Debug)]
enum Command {
    /// Another region asks.
    Question { region: RegionId, pull: Pull, reply: oneshot::Sender<Answer> },
    /// Another region answered, or did not.
    Answered { region: RegionId, answer: Option<Answer> },
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
}

/// Whether rows may be written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Footing {
    standing: Standing,
    /// Whether it takes no rows, since it is no member now or its clock is ahead.
    is_fenced: bool,
}

/// What each region is known to have for good.
type Acked = BTreeMap<RegionId, Vector>;

/// The replication sets that a region takes part in, at work. They stop with it.
#[derive(Debug, Default)]
pub struct Replication {
    sets: BTreeMap<SetName, Part>,
}

#[derive(Debug)]
struct Part {
    set: ReplicationSet,
    commands: mpsc::Sender<Command>,
    footing: watch::Receiver<Footing>,
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
            let (commands, waiting) = mpsc::channel(limits::PULLS_WAITING_MAX);
            let (tell, footing) = watch::channel(Footing::default());
            let (publish, acked) = watch::channel(Acked::new());
            let driver = Driver {
                region: Arc::clone(region),
                roles: Some(Roles::new(set.clone(), region.id().clone())),
                applier: Arc::clone(applier),
                waiting,
                commands: commands.downgrade(),
                lying: Vec::new(),
                footing: tell,
                publish,
                reporting: Vec::new(),
            };
            let task = tokio::spawn(driver.run()).abort_handle();
            (set.name.clone(), Part { set, commands, footing, acked, task })
        };
        Self { sets: own.map(part).collect() }
    }

    /// Holds where rows of a dataset may be written here now. Waits a while for a region that has just started to know.
    ///
    /// # Errors
    /// Where this region does not take part, or too many others find its clock ahead.
    pub(crate) async fn check_writable(&self, dataset: &DatasetName) -> Result<(), Refusal> {
        let Some(part) = self.sets.values().find(|part| part.set.datasets.contains(dataset)) else { return Ok(()) };
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
        let part = self.sets.values().find(|part| part.set.datasets.contains(dataset));
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
