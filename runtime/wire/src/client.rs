//! The two clients: one region asking another over HTTP/2, and a person's command line asking an edge.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use domicile_types::limits::{FRAGMENT_BYTES_MAX, PEER_CONNECT_TIMEOUT, PEER_PING_INTERVAL, PEER_PING_TIMEOUT};
use domicile_types::{RegionId, Secret};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::pace::Pace;
use crate::peer::{Signed, Way, sign_request, verify_reply};
use crate::tls::{Dial, Dialer, PeerTls, Tcp, TlsRefused};
use crate::token::RawToken;
use crate::{Problem, WireError};

/// A body that may be streamed.
pub type RequestBody = BoxBody<Bytes, std::io::Error>;

/// A body that is in memory.
pub fn full(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A peer as this region's configuration names it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its id.
    pub id: RegionId,
    /// Its address, `http://host:port` or `https://host:port`.
    pub url: String,
    /// The secret that it signs with.
    pub secret: Secret,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// The answer where the status is a success, the problem document otherwise.
    fn accepted(self, url: &str) -> Result<Self, WireError> {
        if self.status.is_success() {
            return Ok(self);
        }
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => Err(WireError::Refused(Box::new(problem))),
            Err(_) => Err(WireError::Malformed { url: url.to_owned(), detail: format!("status {}", self.status) }),
        }
    }
}

/// Milliseconds since 1970-01-01 UTC by the system clock.
pub fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(PEER_CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector
}

/// What the network swallows without a word would keep its connection for as long as the kernel tries to send it again,
/// which is many minutes: pings find out sooner.
fn asking(dialer: Dialer) -> Client<Dialer, RequestBody> {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PEER_PING_INTERVAL)
        .http2_keep_alive_timeout(PEER_PING_TIMEOUT)
        .build(dialer)
}

/// Asks peers, signing each request and checking each reply's signature.
#[derive(Debug)]
pub struct PeerClient {
    region: RegionId,
    secret: Secret,
    http: ArcSwap<Client<Dialer, RequestBody>>,
    /// What is under TLS and HTTP.
    below: Arc<dyn Dial>,
    /// The peers that are reached over TLS.
    over_tls: Vec<Peer>,
    requests: AtomicU64,
}

impl PeerClient {
    /// A client that speaks for `region`.
    pub fn new(region: RegionId, secret: Secret) -> Self {
        Self::over(region, secret, Arc::new(Tcp(connector())))
    }

    /// The same, whose connections something else opens.
    pub fn over(region: RegionId, secret: Secret, below: Arc<dyn Dial>) -> Self {
        let http = ArcSwap::from_pointee(asking(Dialer::plain(Arc::clone(&below))));
        Self { region, secret, http, below, over_tls: Vec::new(), requests: AtomicU64::new(0) }
    }

    /// The same client, which reaches these peers, and no others, over TLS.
    #[must_use]
    pub fn over_tls(mut self, tls: PeerTls, peers: &[Peer]) -> Self {
        peers.clone_into(&mut self.over_tls);
        self.renew(tls);
        self
    }

    /// Opens new connections with these certificates from now on; what is under way ends on the old ones.
    pub fn renew(&self, tls: PeerTls) {
        self.http.store(Arc::new(asking(Dialer::over_tls(Arc::clone(&self.below), tls, &self.over_tls))));
    }

    /// Sends a request to `peer` and waits for the whole, authentic answer.
    ///
    /// # Errors
    /// Where the peer is out of reach, refuses, is too slow, or the reply is not signed by it.
    pub async fn send(
        &self,
        peer: &Peer,
        method: Method,
        path: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, WireError> {
        let answer = async |request| whole(&self.http.load_full(), &peer.url, request, timeout).await;
        self.signed(peer, method, path, body, answer).await
    }

    /// The same for an answer of at most `bytes_max` bytes, which may take long as long as it comes: it may be silent for
    /// `silence_max`, and has to be faster than `bytes_per_s_min` all in all.
    ///
    /// # Errors
    /// As for [`Self::send`], and where the answer is larger.
    pub async fn send_patiently(
        &self,
        peer: &Peer,
        (method, path): (Method, &str),
        body: Bytes,
        pace: Pace,
    ) -> Result<Answer, WireError> {
        let answer = async |request| pace.whole(&self.http.load_full(), &peer.url, request).await;
        self.signed(peer, method, path, body, answer).await
    }

    /// Signs a request, and checks the answer to it.
    async fn signed(
        &self,
        peer: &Peer,
        method: Method,
        path: &str,
        body: Bytes,
        answer: impl AsyncFnOnce(Request<RequestBody>) -> Result<Answer, WireError>,
    ) -> Result<Answer, WireError> {
        let now = now_unix_ms();
        let nonce = format!("{now:x}-{:x}", self.requests.fetch_add(1, Ordering::Relaxed));
        let mut request = build(&Dialer::origin(peer), method.clone(), path, full(body.clone()))?;
        let signed = Signed { method: &method, path, body: &body };
        let way = Way { from: &self.region, to: &peer.id };
        sign_request(request.headers_mut(), way, &self.secret, signed, now, &nonce);
        let answer = answer(request).await?;
        verify_reply(&answer.headers, &peer.id, &peer.secret, &nonce, answer.status.as_u16(), &answer.body)?;
        answer.accepted(&peer.url)
    }
}

/// Asks one edge, as any HTTP client may.
#[derive(Debug)]
pub struct EdgeClient {
    url: String,
    /// The header `Authorization`.
    authorization: Option<HeaderValue>,
    http: Client<HttpConnector, RequestBody>,
}

impl EdgeClient {
    /// A client of the edge at `url`, `http://host:port`.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into().trim_end_matches('/').to_owned();
        Self { url, authorization: None, http: Client::builder(TokioExecutor::new()).build(connector()) }
    }

    /// The same client, with this token in every request; none where it is no text that a header may hold.
    pub fn with_token(mut self, token: &RawToken) -> Option<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Some(self)
    }

    fn request(&self, method: Method, path: &str, body: RequestBody) -> Result<Request<RequestBody>, WireError> {
        let mut request = build(&self.url, method, path, body)?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    /// The edge's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    /// Where the edge is out of reach, refuses (with its problem document), or is too slow.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: RequestBody,
        timeout: Duration,
    ) -> Result<Answer, WireError> {
        let mut request = self.request(method, path, body)?;
        request.headers_mut().extend(headers);
        whole(&self.http, &self.url, request, timeout).await?.accepted(&self.url)
    }

    /// Sends a request and hands the body over as it comes.
    ///
    /// # Errors
    /// As [`Self::send`]; errors inside the body are the stream's.
    pub async fn stream(&self, path: &str, timeout: Duration) -> Result<Incoming, WireError> {
        let request = self.request(Method::GET, path, full(Bytes::new()))?;
        let response = head(&self.http, &self.url, request, timeout).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let refused = collect(&self.url, response).await?;
        Err(refused.accepted(&self.url).err().unwrap_or_else(|| unreadable(&self.url, "refused")))
    }
}

fn build(url: &str, method: Method, path: &str, body: RequestBody) -> Result<Request<RequestBody>, WireError> {
    Request::builder()
        .method(method)
        .uri(format!("{url}{path}"))
        .body(body)
        .map_err(|e| WireError::Unreachable { url: format!("{url}{path}"), detail: e.to_string() })
}

async fn whole<C: Connect + Clone + Send + Sync + 'static>(
    http: &Client<C, RequestBody>,
    url: &str,
    request: Request<RequestBody>,
    timeout: Duration,
) -> Result<Answer, WireError> {
    let answer = async { collect(url, http.request(request).await.map_err(|e| unreachable_at(url, &e))?).await };
    tokio::time::timeout(timeout, answer).await.map_err(|_| timed_out(url, timeout))?
}

pub(crate) async fn head<C: Connect + Clone + Send + Sync + 'static>(
    http: &Client<C, RequestBody>,
    url: &str,
    request: Request<RequestBody>,
    timeout: Duration,
) -> Result<Response<Incoming>, WireError> {
    let response = tokio::time::timeout(timeout, http.request(request)).await.map_err(|_| timed_out(url, timeout))?;
    response.map_err(|e| unreachable_at(url, &e))
}

async fn collect(url: &str, response: Response<Incoming>) -> Result<Answer, WireError> {
    let (parts, body) = response.into_parts();
    let limit = usize::try_from(FRAGMENT_BYTES_MAX).unwrap_or(usize::MAX);
    let body = Limited::new(body, limit).collect().await.map_err(|e| unreadable(url, &e.to_string()))?.to_bytes();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

pub(crate) fn timed_out(url: &str, timeout: Duration) -> WireError {
    WireError::TimedOut { url: url.to_owned(), timeout_ms: timeout.as_millis() }
}

fn unreachable_at(url: &str, error: &hyper_util::client::legacy::Error) -> WireError {
    let mut detail = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(TlsRefused(detail)) = inner.downcast_ref() {
            return WireError::PeerTls { url: url.to_owned(), detail: detail.clone() };
        }
        detail = inner.to_string();
        cause = inner.source();
    }
    WireError::Unreachable { url: url.to_owned(), detail }
}

pub(crate) fn unreadable(url: &str, detail: &str) -> WireError {
    WireError::Malformed { url: url.to_owned(), detail: detail.to_owned() }
}
