//! `domicile serve`: files to configuration to a region at work.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use domicile_config::{Plugins, RegionConfig, RegionFiles, load_region, read_secret};
use domicile_edge::{Edge, PeerDoor, Replication, system_tables};
use domicile_query::{
    Catalog, ClientTrust, ObjectFiles, ObjectThreads, PluginTrust, Region, RegionParts, SignedPolicies,
    compare_with_peers, reload_policies, run_shadows,
};
use domicile_sandbox::{ArtefactCache, Compiler, Sandbox, SandboxLimits};
use domicile_store::{DatasetSpec, Objects, Store, StoreError, StoreParts};
use domicile_wire::client::Peer;
use domicile_wire::tls::PeerTls;
use ed25519_dalek::SigningKey;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::COMPILE_PLUGIN;
use crate::output::{Failure, say};
use crate::{copies, peer_tls, policy, replication};

/// How often plugins are compared with the peers', for those that a region missed while it was away.
const PLUGIN_COMPARE_INTERVAL: Duration = Duration::from_secs(10);

/// The key that signs a region's receipts, in its data directory.
const RECEIPT_KEY: &str = "receipts.ed25519";

pub(crate) async fn serve(config: &Path) -> Result<(), Failure> {
    log();
    let files = load_region(config).map_err(anyhow::Error::from)?;
    let listen = files.config.listen;
    let (limits, id) = (files.config.limits.clone(), files.config.id.clone());
    let (backup_urls, data_dir) = (files.config.storage.backup_urls.clone(), files.config.data_dir.clone());
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("{listen} cannot be listened on; is another process using it? ([listen] in {})", config.display())
    })?;
    let address = listener.local_addr().map_err(anyhow::Error::from)?;
    let peer_tls = peer_tls::open(&files.config, config).await?;
    let replicated = replication::load(&files)?;
    let region = tokio::task::spawn_blocking({
        let shown = peer_tls.as_ref().map(|(_, certificates)| certificates.current());
        move || start(files, shown)
    })
    .await
    .map_err(anyhow::Error::from)??;
    let region = Arc::new(region);
    let edge = Edge::new(Arc::clone(&region), limits.load_bytes_max, limits.body_silence).with_backups_at(backup_urls);
    let replication = Replication::start(&region, replicated.sets, replicated.policies, &replicated.links, &data_dir);
    let edge = Arc::new(edge.with_replication(replication.map_err(anyhow::Error::from)?));
    let mut terminate = signal(SignalKind::terminate()).map_err(anyhow::Error::from)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let comparing = tokio::spawn(compare_plugins(Arc::clone(&region)));
    let hangup = signal(SignalKind::hangup()).map_err(anyhow::Error::from)?;
    let reloading = tokio::spawn(reload_on(hangup, Arc::clone(&region)));
    let shadowing = tokio::spawn(run_shadows(Arc::clone(&region)));
    let (peer_door, renewing) = match peer_tls {
        Some((listener, certificates)) => {
            let door = PeerDoor { listener, tls: certificates.watched() };
            let hangup = signal(SignalKind::hangup()).map_err(anyhow::Error::from)?;
            (Some(door), Some(tokio::spawn(certificates.renew(hangup, Arc::clone(&region)))))
        }
        None => (None, None),
    };
    tracing::info!(region = %id, %address, "ready");
    say!("domicile: {id} ready on http://{address}");
    std::io::stdout().flush().map_err(anyhow::Error::from)?;
    let served = domicile_edge::serve(edge, listener, peer_door, stop).await;
    comparing.abort();
    shadowing.abort();
    reloading.abort();
    renewing.inspect(tokio::task::JoinHandle::abort);
    tracing::info!(region = %id, "stopped");
    Ok(served.map_err(anyhow::Error::from)?)
}

/// Lets what happens be told on standard error, for programs.
fn log() {
    tracing_subscriber::fmt().json().with_env_filter(filter()).with_writer(std::io::stderr).init();
}

/// Lets what happens be told on standard error, for the person who waits for it.
pub(crate) fn log_plainly() {
    let plain = tracing_subscriber::fmt().with_ansi(false).with_level(false).with_target(false).without_time();
    plain.with_env_filter(filter()).with_writer(std::io::stderr).init();
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("DOMICILE_LOG").unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Reads the policies again at each signal.
async fn reload_on(mut hangup: Signal, region: Arc<Region>) {
    while hangup.recv().await.is_some() {
        if let Err(error) = reload_policies(&region).await {
            tracing::error!(%error, "the policy files are not taken, those before stay in force");
        }
    }
}

async fn compare_plugins(region: Arc<Region>) {
    let mut ticks = tokio::time::interval(PLUGIN_COMPARE_INTERVAL);
    loop {
        ticks.tick().await;
        let taken = compare_with_peers(&region).await;
        if taken > 0 {
            tracing::info!(taken, "plugins brought in step with peers");
        }
    }
}

/// What the region's store is opened from, and the policies that its datasets are under. Requests to the cold storage
/// run on `threads`.
pub(crate) fn store_parts(files: &RegionFiles, threads: ObjectThreads) -> anyhow::Result<(StoreParts, SignedPolicies)> {
    let policies = policy::load(files)?;
    let spec = |file: &domicile_config::DatasetFile| {
        let dataset = file.dataset.clone();
        let residency = policies.set.residency(&dataset.name).cloned();
        let residency = residency.ok_or_else(|| anyhow!("dataset `{}` has no residency", dataset.name))?;
        anyhow::Ok(DatasetSpec { dataset, residency })
    };
    let mut specs = files.datasets.iter().map(spec).collect::<anyhow::Result<Vec<_>>>()?;
    specs.extend(replication::system_specs(files)?);
    let dir = made_dir(&files.config.data_dir)?.join("store");
    let cold = files.config.storage.cold_url.as_ref();
    let cold = cold.map(|url| ObjectFiles::open(url.as_str(), std::env::vars(), threads)).transpose();
    let cold = cold.and_then(|cold| cold.map(|cold| cold.create().map(|()| cold)).transpose());
    let cold = cold.context("the cold storage, `cold_url`")?.map(|cold| Arc::new(cold) as Arc<dyn Objects>);
    let (sets, noting) = (replication::sets_of(files), replication::noting(files)?);
    Ok((StoreParts { cold, sets, noting, ..StoreParts::local(dir, files.config.id.clone(), specs) }, policies))
}

/// The region. What it needs is there before anything is made.
fn start(files: RegionFiles, peer_tls: Option<PeerTls>) -> anyhow::Result<Region> {
    let config = files.config.clone();
    let client_trust = client_trust(&config)?;
    if client_trust.keys.is_empty() && !client_trust.allow_anonymous {
        tracing::warn!("no client can ask here: [clients] of the region's file has no `trusted_keys`");
    }
    let peer = |peer: domicile_config::Peer| {
        let secret = read_secret(&peer.secret_file)?;
        anyhow::Ok(Peer { id: peer.id, url: peer.url.as_str().to_owned(), secret })
    };
    let peers = config.peers.into_iter().map(peer).collect::<anyhow::Result<Vec<_>>>()?;
    let secret = read_secret(&config.secret_file)?;
    let object_threads = ObjectThreads::start().context("threads for requests")?;
    let (parts, policies) = store_parts(&files, object_threads.clone())?;
    let data_dir = made_dir(&config.data_dir)?;
    let is_asked_about = |spec: &&DatasetSpec| files.datasets.iter().any(|file| file.dataset.name == spec.dataset.name);
    let specs: Vec<DatasetSpec> = parts.specs.iter().filter(is_asked_about).cloned().collect();
    let store = Store::open(parts).map_err(|error| described(error, &files))?;
    // Not before the store is this process's: another one might be taking rows in.
    let incoming = fresh_dir(&data_dir.join("incoming"))?;
    let sandbox_limits = SandboxLimits {
        memory_bytes_max: config.limits.plugin_memory_bytes_max,
        call_timeout: config.limits.plugin_timeout,
        output_rows_max: config.limits.plugin_output_rows_max,
        ..SandboxLimits::default()
    };
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let cache = Some(ArtefactCache::new(data_dir.join("plugins").join("compiled")));
    let sandbox =
        Sandbox::new(sandbox_limits, Compiler::Process { program, args: vec![COMPILE_PLUGIN.into()], cache })?;
    let receipt_key = receipt_key(&data_dir.join(RECEIPT_KEY))?;
    let copies = copies::open(&files, &specs)?;
    let policy_source = policy::source(&files)?;
    let region = Region::start(RegionParts {
        id: config.id,
        catalog: Catalog::new(specs, policies),
        policy_source,
        store,
        incoming,
        background_bytes_per_s_max: config.storage.compaction_bytes_per_s_max,
        object_threads,
        data_dir,
        sandbox,
        plugin_trust: plugin_trust(&config.plugins)?,
        client_trust,
        receipt_key,
        new_mark_key: getrandom::u64().map_err(|e| anyhow!("no randomness: {e}"))?,
        secret,
        peers,
        peer_tls,
        query_timeout: config.limits.query_timeout,
    })?;
    let tables = system_tables(region.store().clone());
    Ok(region.with_copies(copies, files.replication).with_system_tables(tables))
}

/// Whose plugins run, by the region's file.
///
/// # Errors
/// Where a key is no point of the curve that anybody could sign with.
pub(crate) fn plugin_trust(plugins: &Plugins) -> anyhow::Result<PluginTrust> {
    Ok(PluginTrust { keys: policy::verifying_keys(&plugins.trusted_keys)?, allow_unsigned: plugins.allow_unsigned })
}

/// Who may ask, and whose law holds where, by the region's file.
///
/// # Errors
/// As for [`plugin_trust`].
pub(crate) fn client_trust(config: &RegionConfig) -> anyhow::Result<ClientTrust> {
    let peers = config.peers.iter().map(|peer| (peer.id.clone(), peer.jurisdictions.clone()));
    Ok(ClientTrust {
        keys: policy::verifying_keys(&config.clients.trusted_keys)?,
        allow_anonymous: config.clients.allow_anonymous,
        jurisdictions: peers.chain([(config.id.clone(), config.jurisdictions.clone())]).collect(),
    })
}

/// The error, with the file of the dataset that it is about.
pub(crate) fn described(error: StoreError, files: &RegionFiles) -> anyhow::Error {
    let file = match &error {
        StoreError::Redescribed { dataset } => files.datasets.iter().find(|file| file.dataset.name == *dataset),
        _ => None,
    };
    let error = anyhow::Error::from(error);
    match file {
        Some(file) => error.context(file.path.clone()),
        None => error,
    }
}

/// The directory, made where it is missing, by its absolute path without `..` or links: the name that segments are
/// opened by.
pub(crate) fn made_dir(dir: &Path) -> anyhow::Result<PathBuf> {
    let made = std::fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
    made.with_context(|| dir.display().to_string())
}

/// Holds where the key of the region's receipts is one, or not made yet.
///
/// # Errors
/// Where the file is damaged, or cannot be read.
pub(crate) fn check_receipt_key(data_dir: &Path) -> anyhow::Result<()> {
    known_receipt_key(&data_dir.join(RECEIPT_KEY)).map(drop)
}

fn known_receipt_key(path: &Path) -> anyhow::Result<Option<SigningKey>> {
    let shown = || format!("the receipt key {}", path.display());
    if !path.exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).with_context(shown)?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| anyhow!("{} is damaged; restore it from a backup", shown()))?;
    Ok(Some(SigningKey::from_bytes(&bytes)))
}

/// The key that signs this region's receipts, made at the first start.
fn receipt_key(path: &Path) -> anyhow::Result<SigningKey> {
    let shown = || format!("the receipt key {}", path.display());
    if let Some(key) = known_receipt_key(path)? {
        return Ok(key);
    }
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| anyhow!("no randomness: {e}"))?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(shown)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).with_context(shown)?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// An empty directory: what an earlier process left in it never became data.
fn fresh_dir(dir: &Path) -> anyhow::Result<PathBuf> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| dir.display().to_string());
        }
        _ => {}
    }
    made_dir(dir)
}
