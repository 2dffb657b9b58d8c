//! What operators and load balancers look at.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use domicile_query::PING_PATH;
use domicile_wire::client::Peer;
use serde_json::{Value, json as json_value};

use crate::serve::{Edge, Handled, Shared, json};

const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> &'static str {
    "live\n"
}

/// `GET /readyz`: new requests are welcome. Otherwise the text says why not.
pub(crate) async fn ready(State(edge): Shared) -> Response {
    if edge.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    if let Some(reason) = edge.region.storage_health() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response();
    }
    "ready\n".into_response()
}

/// `GET /metrics`, in the OpenMetrics text format.
pub(crate) async fn metrics(State(edge): Shared) -> Response {
    let mut response = edge.metrics.text(&edge.region, edge.replication()).into_response();
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// `GET /v1/regions`: this region, and each peer with its round trip now.
pub(crate) async fn regions(State(edge): Shared) -> Handled {
    let mut regions = vec![json_value!({"region": edge.region.id().as_str(), "here": true, "reachable": true})];
    let pings = edge.region.peers().iter().map(|peer| ping(&edge, peer));
    regions.extend(futures::future::join_all(pings).await);
    Ok(json(&json_value!({"regions": regions})))
}

async fn ping(edge: &Edge, peer: &Peer) -> Value {
    let started = Instant::now();
    let answer = edge.region.client().send(peer, Method::GET, PING_PATH, Bytes::new(), PING_TIMEOUT).await;
    let (id, url) = (peer.id.as_str(), peer.url.as_str());
    match answer {
        Ok(_) => {
            let round_trip_ms = started.elapsed().as_secs_f64() * 1e3;
            json_value!({"region": id, "url": url, "reachable": true, "round_trip_ms": round_trip_ms})
        }
        Err(error) => json_value!({"region": id, "url": url, "reachable": false, "reason": error.to_string()}),
    }
}
