//! One region of a simulation, and what the test sees of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use domicile_types::{RegionId, Vector};
use domicile_wire::tls::PeerTls;
use tokio::sync::mpsc;

use crate::network::Door;
use crate::owner::Owner;

/// Messages that wait for the owner of a region.
const MESSAGES_MAX: usize = 64;

/// What went over a region's connections.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Connections of which both sides proved by certificates who they are.
    pub connections: AtomicU64,
    /// Connections that were refused.
    pub refused: AtomicU64,
    /// Questions that came over them, signed.
    pub requests: AtomicU64,
}

/// What the test and a region tell each other. It outlives the region's crashes, and has nothing that the region reads
/// again but what is to be written.
#[derive(Debug, Default)]
pub struct Board {
    /// Rows to be written: key and value.
    pub wanted: VecDeque<(i64, i64)>,
    /// Rows that were acknowledged, in their order.
    pub acknowledged: Vec<(i64, i64)>,
    /// Whether the region takes part.
    pub is_member: bool,
    /// What it has applied.
    pub applied: Vector,
    /// The rows that it shows.
    pub rows: BTreeMap<i64, i64>,
}

/// One region.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name, on the network too.
    pub region: RegionId,
    /// All regions of the set.
    pub regions: Vec<RegionId>,
    /// What it shows to others.
    pub tls: PeerTls,
    /// Where its store is.
    pub dir: PathBuf,
    /// What the test and it tell each other.
    pub board: Rc<RefCell<Board>>,
    /// What went over its connections.
    pub traffic: Arc<Traffic>,
}

impl Host {
    /// Lives until it is crashed.
    ///
    /// # Errors
    /// Where the store or the network does something that it should not.
    pub async fn run(self) -> turmoil::Result {
        let (messages, inbox) = mpsc::channel(MESSAGES_MAX);
        let peers: Vec<RegionId> = self.regions.iter().filter(|peer| **peer != self.region).cloned().collect();
        let door = Door {
            here: self.region.clone(),
            peers: Arc::new(peers),
            tls: self.tls.clone(),
            messages: messages.clone(),
            traffic: Arc::clone(&self.traffic),
        };
        tokio::spawn(door.open());
        Owner::new(&self, messages)?.live(inbox, &self.board).await
    }
}
