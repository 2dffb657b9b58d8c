//! The task of one replication set.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domicile_query::Region;
use domicile_store::OfferJob;
use domicile_sync::{Applier, Pull, SnapshotAsk};
use domicile_types::{RegionId, limits};
use domicile_wire::client::now_unix_ms;
use tokio::sync::{mpsc, oneshot, watch};

use super::roles::{Report, Roles};
use super::turn::{Done, Inbox, Lying, Turn};
use super::{Acked, Command, Footing, travel};

/// The state of a set, and what its task is told.
pub(super) struct Driver {
    pub(super) region: Arc<Region>,
    /// None while they are with the store.
    pub(super) roles: Option<Roles>,
    pub(super) applier: Arc<Applier>,
    pub(super) waiting: mpsc::Receiver<Command>,
    /// For answers of other regions. Weak, so that the task ends with the handle to it.
    pub(super) commands: mpsc::WeakSender<Command>,
    pub(super) lying: Vec<Lying>,
    pub(super) footing: watch::Sender<Footing>,
    pub(super) publish: watch::Sender<Acked>,
    /// Who wants to know how it is.
    pub(super) reporting: Vec<oneshot::Sender<Report>>,
}

impl Driver {
    /// Goes on until nobody holds the set any more.
    pub(super) async fn run(mut self) {
        let mut changes = self.region.changes();
        let mut ticks = tokio::time::interval(Duration::from_millis(limits::SYNC_TICK_MS));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut more = false;
        loop {
            let mut inbox = Inbox::default();
            if !more {
                tokio::select! {
                    command = self.waiting.recv() => match command {
                        Some(command) => self.take(command, &mut inbox),
                        None => return,
                    },
                    changed = changes.changed() => if changed.is_err() { return },
                    _ = ticks.tick() => {}
                }
            }
            while let Ok(command) = self.waiting.try_recv() {
                self.take(command, &mut inbox);
            }
            match self.turn(inbox).await {
                Some(again) => more = again,
                None => return,
            }
        }
    }

    fn take(&mut self, command: Command, inbox: &mut Inbox) {
        match command {
            Command::Question { region, pull, reply } => {
                if let Some(roles) = &mut self.roles {
                    roles.replica.heard(&region, now_unix_ms());
                }
                let until = Instant::now() + Duration::from_millis(limits::PULL_WAIT_MS);
                self.lying.push(Lying { region, pull, reply, until });
            }
            Command::Answered { region, answer } => inbox.answered.push((region, answer)),
            Command::Asked(asked) => inbox.asked.push(asked),
            Command::Told { region, answer } => inbox.told.push((region, answer)),
            Command::Made { region, offer } => inbox.made.push((region, *offer)),
            Command::GiveUp(given_up) => inbox.given_up.push(given_up),
            Command::Report(reply) => self.reporting.push(reply),
        }
    }

    /// Does what is due. Says whether there is more of it; none where the store is gone.
    async fn turn(&mut self, mut inbox: Inbox) -> Option<bool> {
        inbox.wants_report = !self.reporting.is_empty();
        let turn = Turn {
            roles: self.roles.take()?,
            applier: Arc::clone(&self.applier),
            inbox,
            lying: std::mem::take(&mut self.lying),
            now_ms: now_unix_ms(),
        };
        let Done { roles, lying, pulls, ask, job, report, more } =
            self.region.with_store(move |store| turn.run(store)).await.ok()?;
        self.lying = lying;
        self.tell(&roles);
        self.roles = Some(roles);
        if let Some(report) = report {
            // Whoever asked may have gone.
            self.reporting.drain(..).for_each(|reply| drop(reply.send(report.clone())));
        }
        pulls.into_iter().for_each(|(region, pull)| self.pull(region, pull));
        ask.into_iter().for_each(|(region, ask)| self.ask(region, ask));
        job.into_iter().for_each(|(region, job)| self.make(region, job));
        Some(more)
    }

    /// Tells those who wait for it how things are now.
    fn tell(&self, roles: &Roles) {
        let status = roles.replica.status();
        let footing = Footing { standing: status.standing, is_fenced: status.is_fenced };
        self.footing.send_if_modified(|known| {
            let changed = *known != footing;
            if changed {
                tracing::info!(set = %roles.set(), ?footing, "what this region is in a set changed");
                *known = footing;
            }
            changed
        });
        self.publish.send_if_modified(|known| {
            let changed = *known != status.acked;
            if changed {
                known.clone_from(&status.acked);
            }
            changed
        });
    }

    /// Asks another region, beside everything else.
    fn pull(&self, peer: RegionId, pull: Pull) {
        let region = Arc::clone(&self.region);
        self.beside(async move {
            let answer = travel::pull(&region, &peer, &pull).await;
            Command::Answered { region: peer, answer }
        });
    }

    /// Asks another region for a snapshot, beside everything else.
    fn ask(&self, peer: RegionId, ask: SnapshotAsk) {
        let region = Arc::clone(&self.region);
        self.beside(async move {
            let answer = travel::snapshot(&region, &peer, &ask).await;
            Command::Told { region: peer, answer }
        });
    }

    /// Puts a snapshot into files, beside everything else.
    fn make(&self, region: RegionId, job: OfferJob) {
        let made = tokio::task::spawn_blocking(move || job.run());
        self.beside(async move {
            let gone = |error: tokio::task::JoinError| {
                let source = std::io::Error::other(error.to_string());
                domicile_store::StoreError::Io { action: "put together", path: "offers".into(), source }
            };
            Command::Made { region, offer: Box::new(made.await.unwrap_or_else(|error| Err(gone(error)))) }
        });
    }

    fn beside(&self, work: impl Future<Output = Command> + Send + 'static) {
        let commands = self.commands.clone();
        tokio::spawn(async move {
            let outcome = work.await;
            if let Some(commands) = commands.upgrade() {
                // Where the task has ended, nobody waits for it.
                let _ = commands.send(outcome).await;
            }
        });
    }
}
