//! A region at work: its data, policies, plugins, ledger and peers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use domicile_policy::{Date, Verdict};
use domicile_sandbox::Sandbox;
use domicile_store::{Ack, Batch, Snapshot, Source, Store, StoreReader};
use domicile_types::limits::{
    BACKUP_LISTINGS_MAX, CONCURRENT_FRAGMENTS_MAX, CONCURRENT_PLUGIN_FRAGMENTS_MAX, CONCURRENT_PLUGIN_QUERIES_MAX,
    CONCURRENT_QUERIES_MAX, LOAD_QUEUE_MAX, POLICY_RELOADS_MAX, QUERY_MEMORY_BYTES_MAX, REMEMBERED_QUERIES_MAX,
};
use domicile_types::{RegionId, Secret};
use domicile_wire::client::{Peer, PeerClient, now_unix_ms};
use domicile_wire::receipt::{LedgerHead, SignedReceipt};
use domicile_wire::tls::PeerTls;
use domicile_wire::token::RawToken;
use ed25519_dalek::SigningKey;
use tokio::sync::{Semaphore, watch};

use crate::admit::Asking;
use crate::catalog::Catalog;
use crate::client::{Client, ClientTrust};
use crate::compute::Compute;
use crate::copies::HomeCopy;
use crate::guard::MarkKey;
use crate::heads::Heads;
use crate::history::{Asked, History};
use crate::leaf::Recipient;
use crate::ledger::{Ledger, LedgerReader};
use crate::owner::Owner;
use crate::plugins::{PluginKeeper, PluginSet, PluginTrust, Shadows};
use crate::policies::{PolicyKeeper, PolicySource};
use crate::rewrites::Rewriter;
use crate::routes::Routes;
use crate::settled::Settled;
use crate::storage::Storage;
use crate::system::SystemTable;
use crate::{ObjectThreads, QueryError};

/// What a region is made of.
pub struct RegionParts {
    /// Its id.
    pub id: RegionId,
    /// Datasets and policies.
    pub catalog: Catalog,
    /// Reads the policies again.
    pub policy_source: PolicySource,
    /// Its opened store.
    pub store: Store,
    /// Directory for rows on their way in; what is in it is nobody's.
    pub incoming: PathBuf,
    /// Bytes a second that the store's background work may read and write.
    pub background_bytes_per_s_max: u64,
    /// Requests to the places of backups run on these.
    pub object_threads: ObjectThreads,
    /// Directory for ledger and plugins.
    pub data_dir: PathBuf,
    /// Runs plugins.
    pub sandbox: Sandbox,
    /// Whose plugins.
    pub plugin_trust: PluginTrust,
    /// Whose clients, and where they stand.
    pub client_trust: ClientTrust,
    /// Signs receipts.
    pub receipt_key: SigningKey,
    /// A random number, for a region that has released nothing yet: it keeps the first one that it gets.
    pub new_mark_key: u64,
    /// Signs requests to peers and replies.
    pub secret: Secret,
    /// The other regions.
    pub peers: Vec<Peer>,
    /// What is shown to them, where they are reached over TLS.
    pub peer_tls: Option<PeerTls>,
    /// Longest a query may take where the caller says nothing.
    pub query_timeout: Duration,
}

/// A region at work. Shared by everything that serves it.
#[derive(Debug)]
pub struct Region {
    pub(crate) id: RegionId,
    pub(crate) catalog: Arc<ArcSwap<Catalog>>,
    pub(crate) policies: Owner<PolicyKeeper>,
    pub(crate) reader: StoreReader,
    /// Of rows that live elsewhere, by their homes.
    pub(crate) copies: BTreeMap<RegionId, HomeCopy>,
    pub(crate) routes: Routes,
    /// Tables about itself.
    pub(crate) system: Vec<Arc<dyn SystemTable>>,
    pub(crate) plugins: Arc<ArcSwap<PluginSet>>,
    pub(crate) keeper: Owner<PluginKeeper>,
    pub(crate) sandbox: Arc<Sandbox>,
    /// Taken while a component is compiled.
    pub(crate) compile_slot: Arc<Semaphore>,
    pub(crate) trust: PluginTrust,
    client_trust: ClientTrust,
    pub(crate) shadows: Shadows,
    pub(crate) ledger: Owner<Ledger>,
    pub(crate) history: Owner<History>,
    pub(crate) heads: Heads,
    /// Of the marks by which releases are compared.
    pub(crate) mark_key: MarkKey,
    pub(crate) peers: Vec<Peer>,
    /// The regions that have an edge: this one and its peers.
    edges: BTreeSet<RegionId>,
    pub(crate) client: PeerClient,
    pub(crate) runtime: Arc<RuntimeEnv>,
    pub(crate) compute: Compute,
    /// Questions asked here.
    pub(crate) query_slots: Semaphore,
    /// Those of them that call plugins, taken before the others: who waits long for plugins leaves places to the rest.
    pub(crate) plugin_query_slots: Semaphore,
    /// Fragments asked by other regions. Apart from questions: a question waits for other regions' fragments, so
    /// sharing places would let two regions wait for each other.
    pub(crate) fragment_slots: Semaphore,
    /// Those of them that call plugins.
    pub(crate) plugin_fragment_slots: Semaphore,
    /// Lists of backups that are read.
    pub(crate) listing_slots: Arc<Semaphore>,
    pub(crate) object_threads: ObjectThreads,
    storage: Storage,
    ledger_reader: LedgerReader,
    receipt_key: String,
    secret: Secret,
    query_timeout: Duration,
    /// The states that answers to others come from where they are not the newest, by how often they advance in hours.
    settled: Settled,
    /// Receipts of the latest queries asked here, oldest first.
    received: Mutex<VecDeque<Received>>,
}

/// The receipts that came with an answer, for whoever asked.
#[derive(Debug)]
struct Received {
    query: String,
    client: Client,
    receipts: Vec<SignedReceipt>,
}

impl Region {
    /// Opens ledger and plugins, and starts the threads that own them.
    ///
    /// # Errors
    /// Where something kept is damaged, or the system refuses a thread.
    pub fn start(parts: RegionParts) -> Result<Self, QueryError> {
        let thread = |e: std::io::Error| QueryError::Execution(format!("no thread could be started: {e}"));
        let catalog = Arc::new(parts.catalog);
        let current = Arc::new(ArcSwap::new(Arc::clone(&catalog)));
        let policy_keeper = PolicyKeeper::open(parts.policy_source, &parts.data_dir, Arc::clone(&current))?;
        let plugins = Arc::new(ArcSwap::from_pointee(PluginSet::default()));
        let plugins_dir = parts.data_dir.join("plugins");
        create_dir(&plugins_dir)?;
        let sandbox = Arc::new(parts.sandbox);
        let keeper = PluginKeeper::open(
            &plugins_dir,
            parts.id.clone(),
            Arc::clone(&sandbox),
            parts.plugin_trust.clone(),
            catalog,
            Arc::clone(&plugins),
        )?;
        let ledger_path = parts.data_dir.join("ledger.jsonl");
        let ledger = Ledger::open(&ledger_path, parts.receipt_key)?;
        let receipt_key = ledger.key();
        let history_path = parts.data_dir.join("releases.jsonl");
        let history = History::open(&history_path, MarkKey(parts.new_mark_key), ledger.receipts())?;
        let mark_key = history.key();
        let heads = Heads::open(&parts.data_dir.join("heads.json"))?;
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(QUERY_MEMORY_BYTES_MAX, 1.0).build_arc()?;
        let edges = parts.peers.iter().map(|peer| &peer.id).chain([&parts.id]).cloned().collect();
        let client = PeerClient::new(parts.id.clone(), parts.secret.clone());
        Ok(Self {
            edges,
            client: match parts.peer_tls {
                Some(tls) => client.over_tls(tls, &parts.peers),
                None => client,
            },
            id: parts.id,
            policies: Owner::start("policies", POLICY_RELOADS_MAX, policy_keeper).map_err(thread)?,
            catalog: current,
            reader: parts.store.reader(),
            copies: BTreeMap::new(),
            routes: Routes::default(),
            system: Vec::new(),
            plugins,
            trust: parts.plugin_trust,
            client_trust: parts.client_trust,
            shadows: Shadows::new(),
            keeper: Owner::start("plugins", LOAD_QUEUE_MAX, keeper).map_err(thread)?,
            sandbox,
            compile_slot: Arc::new(Semaphore::new(1)),
            ledger: Owner::start("ledger", CONCURRENT_FRAGMENTS_MAX, ledger).map_err(thread)?,
            history: Owner::start("releases", CONCURRENT_FRAGMENTS_MAX, history).map_err(thread)?,
            heads,
            mark_key,
            storage: Storage::start(parts.store, parts.incoming, parts.background_bytes_per_s_max).map_err(thread)?,
            peers: parts.peers,
            runtime,
            compute: Compute::start().map_err(thread)?,
            query_slots: Semaphore::new(CONCURRENT_QUERIES_MAX),
            plugin_query_slots: Semaphore::new(CONCURRENT_PLUGIN_QUERIES_MAX),
            fragment_slots: Semaphore::new(CONCURRENT_FRAGMENTS_MAX),
            plugin_fragment_slots: Semaphore::new(CONCURRENT_PLUGIN_FRAGMENTS_MAX),
            listing_slots: Arc::new(Semaphore::new(BACKUP_LISTINGS_MAX)),
            object_threads: parts.object_threads,
            ledger_reader: LedgerReader::new(ledger_path),
            receipt_key,
            secret: parts.secret,
            query_timeout: parts.query_timeout,
            settled: Settled::default(),
            received: Mutex::default(),
        })
    }

    /// The region's id.
    pub fn id(&self) -> &RegionId {
        &self.id
    }

    /// Datasets, and the policies in force now. What is to be judged twice alike keeps the one that it got.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Reads the store's snapshots.
    pub fn store(&self) -> &StoreReader {
        &self.reader
    }

    /// The other regions.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Asks peers, as this region.
    pub fn client(&self) -> &PeerClient {
        &self.client
    }

    /// The region's own secret.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The plugins that are deployed now.
    pub fn plugins(&self) -> Arc<PluginSet> {
        self.plugins.load_full()
    }

    /// The public key of this region's receipts.
    pub fn receipt_key(&self) -> &str {
        &self.receipt_key
    }

    /// The region's ledger, for reading.
    pub fn ledger(&self) -> &LedgerReader {
        &self.ledger_reader
    }

    /// The latest receipts that came here from other regions' ledgers, over all time.
    ///
    /// # Errors
    /// Where they cannot be noted any more.
    pub async fn heads(&self) -> Result<Vec<LedgerHead>, QueryError> {
        self.heads.all().await
    }

    /// Longest a query may take where the caller says nothing.
    pub fn query_timeout(&self) -> Duration {
        self.query_timeout
    }

    /// Every region that is the home of something, this one included.
    pub fn regions(&self) -> BTreeSet<RegionId> {
        let mut regions: BTreeSet<RegionId> = self.peers.iter().map(|peer| peer.id.clone()).collect();
        regions.insert(self.id.clone());
        let catalog = self.catalog();
        for spec in catalog.specs() {
            regions.extend(catalog.policies().homes(&spec.dataset.name));
        }
        regions
    }

    /// Stores or deletes the rows of a batch, all of them or none.
    ///
    /// # Errors
    /// Where the batch is refused or the store fails.
    pub async fn ingest(&self, batch: Batch, source: Source) -> Result<Ack, QueryError> {
        self.storage.ingest(batch, source).await
    }

    /// Runs `job` on the store, after what was asked before.
    ///
    /// # Errors
    /// Where the store's owner has ended.
    pub async fn with_store<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> R + Send + 'static,
    ) -> Result<R, QueryError> {
        Ok(self.storage.run(job).await?)
    }

    /// Tells of each new version of the store.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.storage.changes()
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Why the store takes no writes; none where it does.
    pub fn storage_health(&self) -> Option<String> {
        let health = self.reader.health();
        let problem = health.problem().filter(|_| !health.is_writable());
        problem.map(|problem| problem.to_string())
    }

    /// Whether another region shares a jurisdiction with this one.
    pub fn shares_law(&self, region: &RegionId) -> bool {
        self.share_law(&self.id, region)
    }

    /// Whether two regions share a jurisdiction.
    pub(crate) fn share_law(&self, one: &RegionId, other: &RegionId) -> bool {
        self.client_trust.shares_law(one, other)
    }

    /// Whoever asks at this region's edge with this token, or with none.
    ///
    /// # Errors
    /// Where the token is not accepted, or is missing and needed.
    pub fn client_here(&self, token: Option<RawToken>) -> Result<Client, QueryError> {
        self.client_at(&self.id, token)
    }

    /// Whoever asks at the edge of `edge` with this token, or with none, as far as this region believes it.
    pub(crate) fn client_at(&self, edge: &RegionId, token: Option<RawToken>) -> Result<Client, QueryError> {
        self.client_trust.client(&self.id, edge, token, now_unix_ms() / 1000)
    }

    /// Notes the receipts that came with a query's answer, and forgets the oldest query past the limit.
    pub(crate) fn remember(&self, query: &str, client: &Client, receipts: Vec<SignedReceipt>) {
        // The list is whole after every step, so a poisoned lock is still good.
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if received.len() >= REMEMBERED_QUERIES_MAX {
            received.pop_front();
        }
        received.push_back(Received { query: query.to_owned(), client: client.clone(), receipts });
    }

    /// The receipts that came with the answer to a query that the client asked here.
    ///
    /// # Errors
    /// Where the client did not ask it here, or too long ago.
    pub fn receipts(&self, client: &Client, query: &str) -> Result<Vec<SignedReceipt>, QueryError> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let found = received.iter().find(|received| received.query == query && received.client.is(client));
        found.map(|found| found.receipts.clone()).ok_or_else(|| QueryError::unknown("query", query, []))
    }

    /// The state that an answer under this verdict comes from.
    pub(crate) fn snapshot_for(&self, verdict: Option<&Verdict>) -> Arc<Snapshot> {
        let hours = verdict.map_or(0, |verdict| verdict.snapshot_hours);
        self.settled.at(hours, now_unix_ms(), || self.reader.snapshot())
    }

    pub(crate) fn asked(&self, verdict: &Verdict, recipient: &Recipient) -> Asked {
        let Recipient { tenant, question } = recipient.clone();
        Asked { tenant, question, verdict: verdict.clone(), today: self.today() }
    }

    /// Finds rewrites for those who ask as `asking` says.
    pub(crate) fn rewriter<'a>(
        &'a self,
        catalog: &'a Catalog,
        plugins: &'a PluginSet,
        asking: Asking<'a>,
    ) -> Rewriter<'a> {
        Rewriter { catalog, runtime: &self.runtime, plugins, asking, edges: &self.edges }
    }

    pub(crate) fn today(&self) -> i32 {
        Date::of_unix_ms(now_unix_ms()).0
    }
}

fn create_dir(dir: &Path) -> Result<(), QueryError> {
    std::fs::create_dir_all(dir).map_err(|e| QueryError::Execution(format!("{} cannot be made: {e}", dir.display())))
}
