//! Request bodies within their limits.

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use futures::StreamExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::io::AsyncWriteExt;

use crate::problems::Refusal;

/// The whole body, at most `limit` bytes.
///
/// # Errors
/// Where it is larger, or the connection breaks.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let collected = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Refusal::too_large(limit as u64)
        } else {
            Refusal::bad_request(format!("the body did not arrive whole: {error}"))
        }
    })?;
    Ok(collected.to_bytes())
}

/// Writes the body to `file` as it comes, at most `limit` bytes.
///
/// # Errors
/// Where it is larger, the connection breaks, or the disk fails.
pub(crate) async fn spool(body: Body, file: &mut tokio::fs::File, limit: u64) -> Result<(), Refusal> {
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
    let detail = format!("the body could not be kept: {error}; look at the region's disk");
    Refusal::new(domicile_wire::Problem::new(503, "store-failed", "The store cannot do this now", detail))
}

/// A header's text; empty where there is none.
///
/// # Errors
/// Where it is not text.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let text = headers.get(name).map(|value| value.to_str());
    text.transpose().map_err(|_| Refusal::bad_request(format!("header `{name}` is not plain text")))
}
