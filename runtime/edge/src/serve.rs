//! Routes, the log line and metrics of each request, and an orderly end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use axum::serve::ListenerExt;
use domicile_config::StorageUrl;
use domicile_query::{COMPARE_PATH, FRAGMENT_PATH, PING_PATH, PLUGINS_PATH, Region};
use domicile_types::limits::DRAIN_TIMEOUT;
use domicile_wire::Problem;
use domicile_wire::log::LOG_PATH;
use domicile_wire::snapshot::SNAPSHOT_PATH;
use domicile_wire::token::Role;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::body::Arriving;
use crate::clients::{Needs, guarded};
use crate::metrics::Metrics;
use crate::peer_door::PeerDoor;
use crate::problems::Refusal;
use crate::replication::{Replication, faces, operate, pauses, replay, status};
use crate::{audit, backups, data, health, ingest, peers, plugin_costs, plugins, policies, query};

/// An edge: a region and what its front door needs besides.
#[derive(Debug)]
pub struct Edge {
    pub(crate) region: Arc<Region>,
    pub(crate) metrics: Metrics,
    /// Largest load, in bytes.
    pub(crate) load_bytes_max: u64,
    /// Longest that a body may pause.
    body_silence: Duration,
    /// Where backups may be.
    pub(crate) backup_urls: Vec<StorageUrl>,
    pub(crate) draining: AtomicBool,
    replication: Replication,
}

/// What handlers are given.
pub(crate) type Shared = State<Arc<Edge>>;

impl Edge {
    /// The edge of `region`. A body may pause for `body_silence`, and be somewhat slow all in all.
    pub fn new(region: Arc<Region>, load_bytes_max: u64, body_silence: Duration) -> Self {
        Self {
            metrics: Metrics::new(&region),
            region,
            load_bytes_max,
            body_silence,
            backup_urls: Vec::new(),
            draining: AtomicBool::new(false),
            replication: Replication::default(),
        }
    }

    /// Replicates, beside answering.
    #[must_use]
    pub fn with_replication(mut self, replication: Replication) -> Self {
        self.replication = replication;
        self
    }

    pub(crate) fn replication(&self) -> &Replication {
        &self.replication
    }

    /// A request's body on its way, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Where it says itself that it is larger.
    pub(crate) fn arriving(&self, body: Body, bytes_max: u64) -> Result<Arriving, Refusal> {
        Arriving::new(body, bytes_max, self.body_silence)
    }

    /// A request's whole body, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Where it is larger or too slow, or the connection breaks.
    pub(crate) async fn whole(&self, body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
        self.arriving(body, bytes_max as u64)?.whole().await
    }

    /// Lets backups be made at these places and below them; nowhere otherwise.
    #[must_use]
    pub fn with_backups_at(mut self, urls: Vec<StorageUrl>) -> Self {
        self.backup_urls = urls;
        self
    }
}

/// What everybody may see.
fn open_routes() -> Router<Arc<Edge>> {
    Router::new().route("/livez", get(health::live)).route("/readyz", get(health::ready))
}

/// What peers ask, who sign their requests.
fn peer_routes() -> Router<Arc<Edge>> {
    Router::new()
        .route(FRAGMENT_PATH, post(peers::fragment))
        .route(PLUGINS_PATH, get(peers::plugins))
        .route(&format!("{PLUGINS_PATH}/components/{{sha256}}"), get(peers::component))
        .route(COMPARE_PATH, post(peers::compare))
        .route(LOG_PATH, post(faces::log))
        .route(SNAPSHOT_PATH, post(faces::snapshot))
        .route(PING_PATH, get(peers::ping))
}

fn query_routes() -> Router<Arc<Edge>> {
    Router::new()
        .route("/v1/query", post(query::query))
        .route("/v1/query/explain", post(query::explain))
        .route("/v1/queries/{id}/receipt", get(query::receipts))
        .route("/v1/endpoints/{name}", get(query::endpoint).post(query::endpoint))
}

/// A refused row tells what is stored here, so who loads stands here.
fn load_routes() -> Router<Arc<Edge>> {
    Router::new().route("/v1/datasets/{dataset}/rows", post(ingest::load).delete(ingest::delete))
}

fn operate_routes() -> Router<Arc<Edge>> {
    Router::new()
        .route("/v1/plugins", get(plugins::list))
        .route("/v1/plugins/{name}", get(plugins::show))
        .route("/v1/plugins/{name}/versions/{version}", put(plugins::deploy).delete(plugins::delete))
        .route("/v1/plugins/{name}/promote", post(plugins::promote))
        .route("/v1/plugins/{name}/rollback", post(plugins::rollback))
        .route("/v1/plugins/{name}/canary", post(plugins::canary))
        .route("/v1/plugins/{name}/shadow", post(plugins::shadow))
        .route("/v1/regions", get(health::regions))
}

/// What tells of rows and questions here.
fn operate_here_routes() -> Router<Arc<Edge>> {
    Router::new()
        .route("/v1/datasets/{dataset}/partitions", get(data::partitions))
        .route("/v1/backups", get(backups::list).post(backups::make))
        .route("/v1/plugins/{name}/metrics", get(plugin_costs::metrics))
        .route("/v1/plugins/{name}/logs", get(plugin_costs::logs))
        .route("/v1/plugins/{name}/shadow", get(plugins::shadow_report))
        .route("/v1/policies", get(policies::list))
        .route("/v1/policies/reload", post(policies::reload))
        .route("/v1/sync/status", get(status::status))
        .route("/v1/sync/pause", post(pauses::pause))
        .route("/v1/sync/resume", post(pauses::resume))
        .route("/v1/sync/conflicts", get(faces::list_conflicts))
        .route("/v1/sync/conflicts/replay", get(replay::replay))
        .route("/v1/sync/conflicts/resolve", post(faces::resolve))
        .route("/v1/sync/fence", post(operate::fence))
        .route("/v1/sync/quarantine", get(operate::quarantine))
        .route("/v1/sync/quarantine/retry", post(operate::retry))
        .route("/v1/sync/quarantine/drop", post(operate::drop_entry))
        .route("/v1/audit/receipts", get(audit::receipts))
        .route("/v1/audit/heads", get(audit::heads))
        .route("/v1/audit/key", get(audit::key))
        .route("/metrics", get(health::metrics))
}

/// What the front door answers; peers too, where they have no door of their own.
fn front_routes(edge: Arc<Edge>, peers_elsewhere: bool) -> Router {
    let for_peers =
        if peers_elsewhere { Router::new().route("/v1/peer/{*path}", any(peers::elsewhere)) } else { peer_routes() };
    let described = Router::new().route("/v1/datasets", get(data::list));
    let routes = open_routes()
        .merge(for_peers)
        .merge(guarded(described, &edge, Needs::ANY))
        .merge(guarded(query_routes(), &edge, Needs::role(Role::Query)))
        .merge(guarded(load_routes(), &edge, Needs::role_here(Role::Load)))
        .merge(guarded(operate_routes(), &edge, Needs::role(Role::Operate)))
        .merge(guarded(operate_here_routes(), &edge, Needs::role_here(Role::Operate)));
    finished(routes, edge)
}

/// The routes with what is the same at every door.
fn finished(routes: Router<Arc<Edge>>, edge: Arc<Edge>) -> Router {
    routes
        .fallback(|| async {
            Refusal::new(Problem::new(
                404,
                "unknown-path",
                "No such path",
                "this edge has no such path; see the README",
            ))
        })
        .method_not_allowed_fallback(|| async {
            Refusal::new(Problem::new(405, "method-not-allowed", "Wrong method", "this path takes another HTTP method"))
        })
        .layer(from_fn_with_state(Arc::clone(&edge), observe))
        .with_state(edge)
}

async fn observe(State(edge): Shared, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    edge.metrics.request(&route, status, elapsed.as_secs_f64());
    let query_id = response.headers().get(domicile_wire::api::header::QUERY_ID);
    let query_id = query_id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::info!(%method, route, status, elapsed_ms = elapsed.as_secs_f64() * 1e3, query_id, "request");
    response
}

/// Serves until `stop` completes, then lets requests in flight end, up to a limit. Peers are answered at `peer_door`
/// where there is one, and at the front door otherwise.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    edge: Arc<Edge>,
    listener: TcpListener,
    peer_door: Option<PeerDoor>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (drain, draining) = watch::channel(false);
    let stopping = Arc::clone(&edge);
    let stop = async move {
        stop.await;
        stopping.draining.store(true, Ordering::Relaxed);
        tracing::info!("draining");
        drain.send_replace(true);
    };
    // Answers are small and waited for: none is held back to fill a packet.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let front = front_routes(Arc::clone(&edge), peer_door.is_some());
    let front = axum::serve(listener, front).with_graceful_shutdown(stop).into_future();
    let peers = at_peer_door(edge, peer_door, draining.clone());
    let mut draining = draining;
    let overdue = async {
        if draining.wait_for(|draining| *draining).await.is_ok() {
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = async { tokio::try_join!(front, peers) } => ended.map(|_| ()),
        () = overdue => {
            tracing::warn!("requests in flight did not end in time and were cut off");
            Ok(())
        }
    }
}

async fn at_peer_door(edge: Arc<Edge>, door: Option<PeerDoor>, stopping: watch::Receiver<bool>) -> std::io::Result<()> {
    if let Some(door) = door {
        let peers: Vec<_> = edge.region.peers().iter().map(|peer| peer.id.clone()).collect();
        door.serve(finished(peer_routes(), edge), &peers, stopping).await;
    }
    Ok(())
}

/// A handler's answer: a response, or a refusal as a problem document.
pub(crate) type Handled<R = Response> = Result<R, Refusal>;

/// A JSON body.
pub(crate) fn json(value: &impl serde::Serialize) -> Response {
    axum::Json(value).into_response()
}
