//! Request bodies within their limits.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use futures::StreamExt;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;

use crate::problems::Refusal;

/// The whole body, at most `limit` bytes.
///
/// # Errors
/// Where it is larger, or the connection breaks.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    refuse_declared(&body, limit as u64)?;
    let collected = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Refusal::too_large(limit as u64)
        } else {
            Refusal::bad_request(format!("the body did not arrive whole: {error}"))
        }
    })?;
    Ok(collected.to_bytes())
}

/// Refuses a body that says itself that it is too large, before any of it has come.
///
/// # Errors
/// Where it says so.
pub(crate) fn refuse_declared(body: &Body, limit: u64) -> Result<(), Refusal> {
    if body.size_hint().lower() > limit { Err(Refusal::too_large(limit)) } else { Ok(()) }
}

/// Writes the body to `file` as it comes, at most `limit` bytes.
///
/// # Errors
/// Where it is larger, the connection breaks, or the disk fails.
pub(crate) async fn spool(body: Body, file: &mut tokio::fs::File, limit: u64) -> Result<(), Refusal> {
    refuse_declared(&body, limit)?;
    let mut stream = body.into_data_stream();
    let mut written = 0_u64;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| Refusal::bad_request(format!("the body did not arrive whole: {e}")))?;
        written += chunk.len() as u64;
        if written > limit {
            return Err(Refusal::too_large(limit));
        }
        file.write_all(&chunk).await.map_err(|e| disk(&e))?;
    }
    file.flush().await.map_err(|e| disk(&e))
}

/// The disk failed while a body was on its way into the store.
pub(crate) fn disk(error: &std::io::Error) -> Refusal {
    if error.kind() == std::io::ErrorKind::StorageFull {
        let detail = format!("the body could not be kept: {error}; make room on the region's disk");
        return Refusal::storage_full(detail);
    }
    let detail = format!("the body could not be kept: {error}; look at the region's disk");
    Refusal::new(domicile_wire::Problem::new(503, "store-failed", "The store cannot do this now", detail))
}

/// A body in a format that is not taken.
pub(crate) fn unsupported(what: &str, taken: &str, found: &str) -> Refusal {
    let detail = format!("{what} comes as {taken}, not `{found}`");
    Refusal::new(domicile_wire::Problem::new(415, "unsupported-media-type", "No such format", detail))
}

/// The query string of a request, refused as a problem document where it is not in the agreed form.
#[derive(Debug)]
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let parameters = Query::try_from_uri(&parts.uri).map_err(|e| Refusal::bad_request(e.body_text()))?;
        Ok(Self(parameters.0))
    }
}

/// A header's text; empty where there is none.
///
/// # Errors
/// Where it is not text.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let text = headers.get(name).map(|value| value.to_str());
    text.transpose().map_err(|_| Refusal::bad_request(format!("header `{name}` is not plain text")))
}
