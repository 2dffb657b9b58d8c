//! The door for peers: TLS 1.3 with certificates on both sides, HTTP/2, and nothing but what peers ask.
//!
//! Whoever reaches it can open connections, so none of them is waited for: handshakes run beside each other, and the
//! oldest ends when there are too many.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use domicile_types::RegionId;
use domicile_types::limits::{PEER_CONNECTION_AGE_MAX, PEER_CONNECTIONS_MAX, PEER_HANDSHAKES_MAX, QUERY_TIMEOUT_MAX};
use domicile_wire::tls::{PeerStream, PeerTls, TlsError};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tower_service::Service;

/// How long nothing is accepted after the system refused a connection: it has too many files open, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The region that the connection's certificate is for.
#[derive(Debug, Clone)]
pub(crate) struct Certified(pub(crate) RegionId);

/// Where peers ask, and with what they are met.
#[derive(Debug)]
pub struct PeerDoor {
    /// The open port.
    pub listener: TcpListener,
    /// The certificates. Where they are replaced, connections end once what is under way on them has ended.
    pub tls: watch::Receiver<PeerTls>,
}

/// A connection after its handshake.
type Met = Result<Proven, (SocketAddr, TlsError)>;

#[derive(Debug)]
struct Proven {
    peer: RegionId,
    stream: PeerStream,
    /// Tells when other certificates than those of the handshake count.
    renewed: watch::Receiver<PeerTls>,
}

impl PeerDoor {
    /// Answers `peers` by `router` until `stopping`, and returns once what was under way has ended.
    pub(crate) async fn serve(self, router: Router, peers: &[RegionId], stopping: watch::Receiver<bool>) {
        let Self { listener, tls } = self;
        let mut handshakes = Handshakes::default();
        let mut connections = Connections::default();
        let mut stop = stopping.clone();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(met) = handshakes.running.join_next() => match met {
                    Ok(Ok(proven)) if peers.contains(&proven.peer) => {
                        connections.begin(proven, router.clone(), stopping.clone());
                    }
                    Ok(Ok(Proven { peer, .. })) => tracing::info!(region = %peer, "a caller with a certificate is no peer"),
                    Ok(Err((address, error))) => tracing::info!(%address, %error, "a caller is no peer"),
                    // One that made room for another.
                    Err(_) => {}
                },
                Some(_) = connections.running.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((tcp, address)) => handshakes.begin(tcp, address, tls.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection of a peer cannot be taken");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        while connections.running.join_next().await.is_some() {}
    }
}

/// Handshakes under way, the oldest first.
#[derive(Debug, Default)]
struct Handshakes {
    running: JoinSet<Met>,
    order: VecDeque<AbortHandle>,
}

impl Handshakes {
    fn begin(&mut self, tcp: TcpStream, address: SocketAddr, mut renewed: watch::Receiver<PeerTls>) {
        self.order.retain(|handshake| !handshake.is_finished());
        while self.order.len() >= PEER_HANDSHAKES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                oldest.abort();
            }
        }
        let handshake = async move {
            // Answers are small and waited for: none is held back to fill a packet.
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its delay");
            }
            let tls = renewed.borrow_and_update().clone();
            let (peer, stream) = tls.accept(tcp).await.map_err(|error| (address, error))?;
            Ok(Proven { peer, stream, renewed })
        };
        self.order.push_back(self.running.spawn(handshake));
    }
}

/// Connections of peers, and how to end the oldest of each.
#[derive(Debug, Default)]
struct Connections {
    running: JoinSet<()>,
    of: BTreeMap<RegionId, VecDeque<oneshot::Sender<()>>>,
}

impl Connections {
    fn begin(&mut self, proven: Proven, router: Router, stopping: watch::Receiver<bool>) {
        let own = self.of.entry(proven.peer.clone()).or_default();
        own.retain(|connection| !connection.is_closed());
        while own.len() >= PEER_CONNECTIONS_MAX {
            // It ends as what would end it goes.
            own.pop_front();
        }
        let (displace, displaced) = oneshot::channel();
        own.push_back(displace);
        self.running.spawn(async move {
            tokio::select! {
                () = answer(proven, router, stopping) => {}
                _ = displaced => {}
            }
        });
    }
}

/// Answers what comes over a connection, to its end.
async fn answer(proven: Proven, router: Router, mut stopping: watch::Receiver<bool>) {
    let Proven { peer, stream, mut renewed } = proven;
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Certified(peer.clone()));
        let mut router = router.clone();
        async move {
            let response: Result<Response, Infallible> = router.call(request).await;
            response
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ending = async {
        tokio::select! {
            _ = renewed.changed() => {}
            _ = stopping.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(PEER_CONNECTION_AGE_MAX) => {}
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = ending => {
            connection.as_mut().graceful_shutdown();
            // Nothing that is under way takes longer.
            tokio::time::timeout(QUERY_TIMEOUT_MAX, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(region = %peer, %error, "a connection of a peer broke off");
    }
}
