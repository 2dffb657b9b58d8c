//! Whoever owns a region's store and its part in the set: one task, which everything else sends messages to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Cursor;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use domicile_store::{Batch, DatasetSpec, Format, Operation, Source, Store, StoreParts};
use domicile_sync::{Answer, Applier, Policy, Pull, Replica, Standing, log_change, system_specs};
use domicile_types::{
    Acknowledge, Column, ColumnType, ConflictPolicy, Dataset, DatasetName, RegionId, ReplicationSet, Residency,
    SetName, limits,
};
use domicile_wire::Pace;
use domicile_wire::client::{Peer, PeerClient};
use domicile_wire::log::LOG_PATH;
use http::Method;
use tokio::sync::{mpsc, oneshot};

use crate::host::{Board, Host};
use crate::messages;
use crate::network::{Message, PORT, Simulated, secret_of};

/// When simulations begin, in Unix milliseconds.
const EPOCH_MS: u64 = 1_900_000_000_000;
/// How often a region looks what there is to do.
const TICK: Duration = Duration::from_millis(50);
/// How long a question may lie before it is answered with nothing.
const LIE_MS: u64 = 5_000;
const ROWS_BYTES_MAX: u64 = 1 << 26;
const SET: &str = "catalog";
/// A dataset whose rows are written over.
const ITEM: &str = "item";
/// One without a key, for entries without rows.
const EVENT: &str = "event";

type Failed = Box<dyn Error>;

struct Lying {
    region: RegionId,
    pull: Pull,
    reply: oneshot::Sender<Answer>,
    until_ms: u64,
}

pub(crate) struct Owner {
    set: SetName,
    item: DatasetName,
    event: DatasetName,
    store: Store,
    replica: Replica,
    applier: Applier,
    lying: Vec<Lying>,
    client: Arc<PeerClient>,
    peers: BTreeMap<RegionId, Peer>,
    messages: mpsc::Sender<Message>,
}

fn now_ms() -> u64 {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    EPOCH_MS + u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn spec(name: &DatasetName, columns: &[&str], key: &[&str]) -> Result<DatasetSpec, Failed> {
    let column = |name: &&str| Column { name: (*name).to_owned(), kind: ColumnType::BigInt, nullable: false };
    let key = key.iter().map(|name| (*name).to_owned()).collect();
    let dataset = Dataset::new(name.clone(), columns.iter().map(column).collect(), key)?;
    Ok(DatasetSpec { dataset, residency: Residency::Reference })
}

impl Owner {
    /// Opens the store, as it was left.
    pub(crate) fn new(host: &Host, messages: mpsc::Sender<Message>) -> Result<Self, Failed> {
        let (set, item, event): (SetName, DatasetName, DatasetName) = (SET.parse()?, ITEM.parse()?, EVENT.parse()?);
        let specs = [spec(&item, &["id", "value"], &["id"])?, spec(&event, &["id"], &[])?];
        let policy = |spec: &DatasetSpec| -> Result<_, Failed> {
            Ok((spec.dataset.name.clone(), Policy::new(ConflictPolicy::default(), spec)?))
        };
        let applier = Applier::new(specs.iter().map(policy).collect::<Result<_, Failed>>()?);
        let sets = [(item.clone(), set.clone()), (event.clone(), set.clone())].into();
        let all = system_specs()?.into_iter().chain(specs).collect();
        let store = Store::open(StoreParts { sets, ..StoreParts::local(host.dir.clone(), host.region.clone(), all) })?;
        let replicated = ReplicationSet {
            name: set.clone(),
            regions: host.regions.iter().cloned().collect(),
            datasets: [item.clone(), event.clone()].into(),
            home: None,
            acknowledge: Acknowledge::Local,
        };
        let others = host.regions.iter().filter(|peer| **peer != host.region);
        let peer = |id: &RegionId| Peer { id: id.clone(), url: format!("https://{id}:{PORT}"), secret: secret_of(id) };
        let peers: BTreeMap<RegionId, Peer> = others.map(|id| (id.clone(), peer(id))).collect();
        let known: Vec<Peer> = peers.values().cloned().collect();
        let client = PeerClient::over(host.region.clone(), secret_of(&host.region), Arc::new(Simulated));
        let client = Arc::new(client.over_tls(host.tls.clone(), &known));
        let replica = Replica::new(replicated, host.region.clone());
        Ok(Self { set, item, event, store, replica, applier, lying: Vec::new(), client, peers, messages })
    }

    /// Does what there is to do, until the host is crashed.
    pub(crate) async fn live(
        mut self,
        mut inbox: mpsc::Receiver<Message>,
        board: &Rc<RefCell<Board>>,
    ) -> turmoil::Result {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                Some(message) = inbox.recv() => self.take(message),
                _ = ticks.tick() => {}
            }
            while let Ok(message) = inbox.try_recv() {
                self.take(message);
            }
            self.write(&mut board.borrow_mut())?;
            self.turn()?;
            self.show(&mut board.borrow_mut())?;
        }
    }

    fn take(&mut self, message: Message) {
        let now_ms = now_ms();
        match message {
            Message::Question { region, pull, reply } => {
                self.replica.heard(&region, now_ms);
                self.lying.push(Lying { region, pull, reply, until_ms: now_ms + LIE_MS });
            }
            Message::Answered { region, answer: Some((answer, bytes)) } => {
                self.replica.answered(&region, answer, bytes, self.store.set_state(&self.set), now_ms);
            }
            Message::Answered { region, answer: None } => self.replica.failed(&region, now_ms),
        }
    }

    /// Writes what the test wants, as far as this region may.
    fn write(&mut self, board: &mut Board) -> Result<(), Failed> {
        while !self.replica.is_fenced()
            && let Some((id, value)) = board.wanted.pop_front()
        {
            let dataset = self.item.clone();
            self.commit(dataset, format!("{{\"id\":{id},\"value\":{value}}}\n"))?;
            board.acknowledged.push((id, value));
        }
        Ok(())
    }

    fn commit(&mut self, dataset: DatasetName, rows: String) -> Result<(), Failed> {
        let now_ms = now_ms();
        let batch = Batch { dataset, operation: Operation::Upsert, format: Format::Ndjson, idempotency_key: None };
        let source = Source::Stream(Box::new(Cursor::new(rows.into_bytes())));
        let prepared = self.store.preparer().prepare(batch, source, now_ms)?;
        for answer in self.store.commit(vec![prepared], now_ms) {
            answer?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Failed> {
        let now_ms = now_ms();
        loop {
            let ready = self.replica.ready(self.store.set_state(&self.set), now_ms);
            if ready.is_empty() {
                break;
            }
            let applied = self.applier.apply(&mut self.store, ready, now_ms);
            self.replica.put_back(applied.left, self.store.set_state(&self.set));
            applied.problem.map_or(Ok(()), Err)?;
        }
        let me = self.store.origin();
        if self.replica.tick(&mut self.store, &me, now_ms) {
            let event = self.event.clone();
            self.commit(event, String::new())?;
        }
        for change in self.replica.changes(self.store.set_state(&self.set), &me) {
            log_change(&mut self.store, &self.set, change, now_ms)?;
        }
        for (region, pull) in self.replica.due(&self.store, now_ms) {
            self.ask(region, &pull);
        }
        for lying in std::mem::take(&mut self.lying) {
            match self.replica.answer(&lying.region, &lying.pull, &self.store)? {
                Some(answer) => drop(lying.reply.send(answer)),
                None if lying.until_ms <= now_ms => {
                    let nothing = self.replica.nothing(&lying.region, &lying.pull, &self.store);
                    drop(lying.reply.send(nothing));
                }
                None => self.lying.push(lying),
            }
        }
        Ok(())
    }

    fn ask(&self, region: RegionId, pull: &Pull) {
        let (client, messages) = (Arc::clone(&self.client), self.messages.clone());
        let peer = self.peers.get(&region).cloned();
        let body = messages::question(pull, None);
        tokio::spawn(async move {
            let answer = match (peer, body) {
                (Some(peer), Some(body)) => answered(&client, &peer, body).await,
                _ => None,
            };
            drop(messages.send(Message::Answered { region, answer }).await);
        });
    }

    fn show(&mut self, board: &mut Board) -> Result<(), Failed> {
        board.is_member = self.replica.standing() == Standing::Member;
        let applied = &self.store.set_state(&self.set).applied;
        if board.applied == *applied {
            return Ok(());
        }
        board.applied.clone_from(applied);
        let rows = self.store.reader().rows(&self.item, ROWS_BYTES_MAX)?;
        let [ids, values] = [0, 1].map(|place| rows.column(place).as_primitive::<Int64Type>());
        board.rows = ids.values().iter().copied().zip(values.values().iter().copied()).collect();
        Ok(())
    }
}

async fn answered(client: &PeerClient, peer: &Peer, body: Bytes) -> Option<(Answer, u64)> {
    let pace = Pace {
        bytes_max: limits::PULL_ANSWER_BYTES_MAX,
        silence_max: Duration::from_millis(limits::PULL_TIMEOUT_MS),
        bytes_per_s_min: limits::PULL_BYTES_PER_S_MIN,
    };
    let answer = client.send_patiently(peer, (Method::POST, LOG_PATH), body, pace).await.ok()?;
    Some((messages::read_answer(&answer.body)?, answer.body.len() as u64))
}
