//! The task of one replication set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domicile_query::Region;
use domicile_store::StoreError;
use domicile_sync::{Applier, Pauses, Pull, Replica, ReplicaStatus};
use domicile_types::{RegionId, ReplicationSet, limits};
use domicile_wire::client::now_unix_ms;
use tokio::sync::{mpsc, oneshot, watch};

use super::pauses::{PauseChange, PauseFile};
use super::rows::Rows;
use super::travel::{self, Arrived};
use super::turn::{Done, Lying, Turn};
use super::{Command, Known, Links};

/// The state of a set, and what its task is told.
pub(super) struct Driver {
    pub(super) region: Arc<Region>,
    pub(super) rows: Rows,
    pub(super) set: Arc<ReplicationSet>,
    /// None while it is with the store.
    pub(super) replica: Option<Replica>,
    pub(super) applier: Arc<Applier>,
    pub(super) waiting: mpsc::Receiver<Command>,
    /// For answers of other regions. Weak, so that the task ends with the handle to it.
    pub(super) commands: mpsc::WeakSender<Command>,
    pub(super) lying: Vec<Lying>,
    pub(super) fenced: Arc<AtomicBool>,
    pub(super) publish: watch::Sender<Known>,
    pub(super) status: watch::Sender<ReplicaStatus>,
    pub(super) pause_file: PauseFile,
    pub(super) links: Links,
}

/// What came in since the last turn.
#[derive(Default)]
struct Inbox {
    answered: Vec<(RegionId, Option<Arrived>)>,
    asked: Vec<oneshot::Sender<ReplicaStatus>>,
}

impl Driver {
    /// Goes on until nobody holds the set any more.
    pub(super) async fn run(mut self) {
        let mut changes = self.rows.changes();
        let mut ticks = tokio::time::interval(Duration::from_millis(limits::SYNC_TICK_MS));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut more = false;
        loop {
            let mut inbox = Inbox::default();
            if !more {
                tokio::select! {
                    command = self.waiting.recv() => match command {
                        Some(command) => self.take(command, &mut inbox).await,
                        None => return,
                    },
                    changed = changes.changed() => if changed.is_err() { return },
                    _ = ticks.tick() => {}
                }
            }
            while let Ok(command) = self.waiting.try_recv() {
                self.take(command, &mut inbox).await;
            }
            match self.turn(inbox).await {
                Some(again) => more = again,
                None => return,
            }
        }
    }

    async fn take(&mut self, command: Command, inbox: &mut Inbox) {
        match command {
            Command::Question { region, pull, reply } => {
                if let Some(replica) = &mut self.replica {
                    replica.heard(&region, now_unix_ms());
                }
                let wait_ms = if self.set.home.is_some() { limits::COPY_PULL_WAIT_MS } else { limits::PULL_WAIT_MS };
                let until = Instant::now() + Duration::from_millis(wait_ms);
                self.lying.push(Lying { region, pull, reply, until });
            }
            Command::Answered { region, answer } => inbox.answered.push((region, answer)),
            Command::Status(reply) => inbox.asked.push(reply),
            Command::Pause { change, reply } => {
                // Whoever asked may have gone.
                let _ = reply.send(self.pause(change).await);
            }
        }
    }

    /// Pauses or goes on, once that is durable.
    async fn pause(&mut self, change: PauseChange) -> Result<Pauses, StoreError> {
        let Some(replica) = &mut self.replica else { return Ok(Pauses::default()) };
        let mut pauses = replica.pauses().clone();
        match change {
            PauseChange::Pause(from) => pauses.pause(from, now_unix_ms()),
            PauseChange::Resume(from) => pauses.resume(from.as_ref()),
        }
        self.pause_file.write(&pauses).await?;
        replica.pause(pauses.clone());
        // What asks here is answered at once, and so learns of it.
        self.lying.iter_mut().for_each(|lying| lying.until = Instant::now());
        tracing::warn!(set = %replica.set().name, ?pauses, "replication was paused or resumed");
        Ok(pauses)
    }

    /// Does what is due. Says whether there is more of it; none where the store is gone.
    async fn turn(&mut self, inbox: Inbox) -> Option<bool> {
        let turn = Turn {
            replica: self.replica.take()?,
            applier: Arc::clone(&self.applier),
            answered: inbox.answered,
            lying: std::mem::take(&mut self.lying),
            now_ms: now_unix_ms(),
        };
        let Done { replica, lying, pulls, status, as_of_ms, more } =
            self.rows.with_store(move |store| turn.run(store)).await.ok()?;
        self.rows.note_as_of(&self.set.name, as_of_ms);
        self.replica = Some(replica);
        self.lying = lying;
        if self.fenced.swap(status.is_fenced, Ordering::Relaxed) != status.is_fenced {
            tracing::warn!(is_fenced = status.is_fenced, "other regions find this one's clock ahead, or no longer do");
        }
        self.publish.send_if_modified(|known| {
            let changed = known.acked != status.acked || known.paused_ms != status.paused_ms;
            if changed {
                *known = Known { acked: status.acked.clone(), paused_ms: status.paused_ms.clone() };
            }
            changed
        });
        self.status.send_replace(status.clone());
        for reply in inbox.asked {
            // Whoever asked may have gone.
            let _ = reply.send(status.clone());
        }
        pulls.into_iter().for_each(|(region, pull)| self.pull(region, pull));
        Some(more)
    }

    /// Asks another region, beside everything else.
    fn pull(&self, peer: RegionId, pull: Pull) {
        let (region, commands, set) = (Arc::clone(&self.region), self.commands.clone(), Arc::clone(&self.set));
        let compression = self.links.get(&peer).and_then(|link| link.compression);
        tokio::spawn(async move {
            let answer = travel::pull(&region, &set, &peer, &pull, compression).await;
            if let Some(commands) = commands.upgrade() {
                // Where the task has ended, nobody waits for it.
                let _ = commands.send(Command::Answered { region: peer, answer }).await;
            }
        });
    }
}
