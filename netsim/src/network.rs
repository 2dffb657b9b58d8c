//! The simulated network under TLS, and the door through which peers ask.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use domicile_sync::{Answer, Pull};
use domicile_types::limits::PEER_CONNECT_TIMEOUT;
use domicile_types::{RegionId, Secret};
use domicile_wire::client::now_unix_ms;
use domicile_wire::log::LOG_PATH;
use domicile_wire::peer::{Signed, sign_reply, verify_request};
use domicile_wire::tls::{ByteStream, Dial, DialError, Dialing, PeerTls};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::{mpsc, oneshot};
use turmoil::net::{TcpListener, TcpStream};

use crate::host::Traffic;
use crate::messages;

/// Where every region listens.
pub(crate) const PORT: u16 = 7411;

/// The secret that a region signs with.
pub(crate) fn secret_of(region: &RegionId) -> Secret {
    Secret::new(format!("signed by {region}, and by nobody else at all").as_bytes())
}

/// Opens connections over the simulated network.
#[derive(Debug)]
pub(crate) struct Simulated;

impl Dial for Simulated {
    fn dial(&self, uri: Uri) -> Dialing {
        Box::pin(async move {
            let host = uri.host().ok_or("a peer without a host")?.to_owned();
            let connecting = TcpStream::connect((host, uri.port_u16().unwrap_or(PORT)));
            let opened = tokio::time::timeout(PEER_CONNECT_TIMEOUT, connecting).await;
            let opened = opened.map_err(|_| DialError::from("no connection in time"))??;
            Ok(Box::new(opened) as Box<dyn ByteStream>)
        })
    }
}

/// What whoever owns a region is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Another region asks.
    Question { region: RegionId, pull: Pull, reply: oneshot::Sender<Answer> },
    /// Another region answered, or did not.
    Answered { region: RegionId, answer: Option<(Answer, u64)> },
}

/// Where peers ask.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) here: RegionId,
    pub(crate) peers: Arc<Vec<RegionId>>,
    pub(crate) tls: PeerTls,
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) traffic: Arc<Traffic>,
}

impl Door {
    /// Takes connections for as long as the host lives.
    pub(crate) async fn open(self) -> std::io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        loop {
            let (tcp, _) = listener.accept().await?;
            let door = self.clone();
            tokio::spawn(async move {
                let Ok((peer, stream)) = door.tls.accept(tcp).await else {
                    count(&door.traffic.refused);
                    return;
                };
                count(&door.traffic.connections);
                let service = service_fn(|request| {
                    let (door, peer) = (door.clone(), peer.clone());
                    async move { Ok::<_, std::convert::Infallible>(door.answer(&peer, request).await) }
                });
                // It ends with whatever the network does to it.
                drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
            });
        }
    }

    async fn answer(&self, peer: &RegionId, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answered = self.asked(peer, request).await;
        let (status, nonce, body) = match answered {
            Some((nonce, body)) => (StatusCode::OK, nonce, body),
            None => (StatusCode::FORBIDDEN, String::new(), Vec::new()),
        };
        let mut response = Response::new(Full::new(Bytes::from(body.clone())));
        *response.status_mut() = status;
        sign_reply(response.headers_mut(), &secret_of(&self.here), &nonce, status.as_u16(), "", &body);
        response
    }

    /// The nonce of a request of a peer, and what is answered to it; none where nobody may ask so.
    async fn asked(&self, peer: &RegionId, request: Request<Incoming>) -> Option<(String, Vec<u8>)> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let secrets: Vec<(RegionId, Secret)> =
            self.peers.iter().map(|region| (region.clone(), secret_of(region))).collect();
        let known = |region: &RegionId| secrets.iter().find(|(peer, _)| peer == region).map(|(_, secret)| secret);
        let signed = Signed { method: &Method::POST, path: LOG_PATH, body: &body };
        let caller = verify_request(&parts.headers, &self.here, signed, now_unix_ms(), known).ok()?;
        if caller.region != *peer || parts.uri.path() != LOG_PATH {
            return None;
        }
        count(&self.traffic.requests);
        let (reply, replied) = oneshot::channel();
        let (pull, compression) = messages::read_question(&body).ok()?;
        self.messages.send(Message::Question { region: caller.region, pull, reply }).await.ok()?;
        Some((caller.nonce, messages::answer(&replied.await.ok()?, compression.as_deref())?))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
