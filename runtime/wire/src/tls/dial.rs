//! How one region opens connections to others: over TCP, and over TLS where it has certificates.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use domicile_types::RegionId;
use domicile_types::limits::PEER_HANDSHAKE_TIMEOUT;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::client::Peer;
use crate::tls::error::{self, TlsRefused};
use crate::tls::material::{region_of, server_name};
use crate::tls::{ALPN, PeerTls};

type DialError = Box<dyn Error + Send + Sync>;

/// Opens connections to peers.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    tcp: HttpConnector,
    tls: Option<Arc<OverTls>>,
}

#[derive(Debug)]
struct OverTls {
    tls: PeerTls,
    /// Where each peer is, for [`HttpConnector`].
    places: BTreeMap<String, (RegionId, Uri)>,
}

impl Dialer {
    /// Over TCP alone.
    pub(crate) fn plain(tcp: HttpConnector) -> Self {
        Self { tcp, tls: None }
    }

    /// Over TLS, to these peers only.
    pub(crate) fn over_tls(tcp: HttpConnector, tls: PeerTls, peers: &[Peer]) -> Self {
        let place = |peer: &Peer| {
            let authority = peer.url.split_once("://").map_or(peer.url.as_str(), |(_, authority)| authority);
            let uri = format!("http://{authority}").parse().ok()?;
            Some((peer.id.to_string(), (peer.id.clone(), uri)))
        };
        let places = peers.iter().filter_map(place).collect();
        Self { tcp, tls: Some(Arc::new(OverTls { tls, places })) }
    }

    /// The origin that requests to a peer are addressed to. Over TLS that is its id, so that no connection to one peer
    /// is ever used for another.
    pub(crate) fn origin(peer: &Peer) -> String {
        if peer.url.starts_with("https://") { format!("https://{}", peer.id) } else { peer.url.clone() }
    }
}

impl Service<Uri> for Dialer {
    type Response = Dialed;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Dialed, DialError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(over) = self.tls.clone() else {
            let opened = self.tcp.call(uri);
            return Box::pin(async move { Ok(Dialed::Plain(opened.await?)) });
        };
        let mut tcp = self.tcp.clone();
        Box::pin(async move {
            let place = uri.host().and_then(|host| over.places.get(host));
            let (peer, place) = place.ok_or_else(|| TlsRefused(format!("{uri} is no peer")))?;
            let opened = tcp.call(place.clone()).await?;
            let own = &over.tls.material.region;
            let handshake = handshake(&over.tls, peer, opened.into_inner());
            let stream = tokio::time::timeout(PEER_HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| {
                let timeout_ms = PEER_HANDSHAKE_TIMEOUT.as_millis();
                TlsRefused(format!("`{peer}` and `{own}` did not agree on a connection within {timeout_ms} ms"))
            })??;
            Ok(Dialed::Tls(TokioIo::new(Box::new(stream))))
        })
    }
}

/// A connection counts once the peer has said something: before that, it may still refuse our certificate.
async fn handshake(tls: &PeerTls, peer: &RegionId, tcp: TcpStream) -> Result<TlsStream<TcpStream>, TlsRefused> {
    let own = &tls.material.region;
    let name = server_name(peer).map_err(|e| TlsRefused(e.to_string()))?;
    let failed = |e: io::Error| error::of_peer(&e, own, peer);
    let mut stream = TlsConnector::from(Arc::clone(&tls.client)).connect(name, tcp).await.map_err(failed)?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(ALPN) {
        return Err(TlsRefused(format!("`{peer}` does not speak HTTP/2 there; is the `url` of that peer right?")));
    }
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.map(region_of).transpose().map_err(|e| TlsRefused(format!("`{peer}`: {e}")))?;
    if shown.as_ref() != Some(peer) {
        return Err(TlsRefused(format!("the certificate shown there is not for `{peer}` alone")));
    }
    if stream.fill_buf().await.map_err(failed)?.is_empty() {
        return Err(error::ended(own, peer));
    }
    Ok(stream)
}

/// A connection to a peer.
#[derive(Debug)]
pub(crate) enum Dialed {
    Plain(TokioIo<TcpStream>),
    Tls(TokioIo<Box<TlsStream<TcpStream>>>),
}

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(io) => io.connected(),
            Self::Tls(_) => Connected::new().negotiated_h2(),
        }
    }
}

impl Read for Dialed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl Write for Dialed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
