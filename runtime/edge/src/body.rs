//! Request bodies within their limits.

use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequestParts, Query};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use domicile_types::limits::BODY_BYTES_PER_S_MIN;
use futures::StreamExt;
use http_body::Body as _;
use serde::de::DeserializeOwned;

use crate::problems::Refusal;

/// A body on its way, which is neither larger nor slower than it may be.
pub(crate) struct Arriving {
    parts: BodyDataStream,
    bytes_max: u64,
    silence_max: Duration,
    taken: u64,
    /// How long its sender was waited for, all in all. Time in which nobody wanted more of it does not count.
    waited: Duration,
}

impl Arriving {
    /// The body, of at most `bytes_max` bytes and with pauses of at most `silence_max`.
    ///
    /// # Errors
    /// Where it says itself that it is too large, before any of it has come.
    pub(crate) fn new(body: Body, bytes_max: u64, silence_max: Duration) -> Result<Self, Refusal> {
        if body.size_hint().lower() > bytes_max {
            return Err(Refusal::too_large(bytes_max));
        }
        Ok(Self { parts: body.into_data_stream(), bytes_max, silence_max, taken: 0, waited: Duration::ZERO })
    }

    /// What comes next; none at the end.
    ///
    /// # Errors
    /// Where the body is too large or too slow, or breaks off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let earned = Duration::from_secs_f64(self.taken as f64 / BODY_BYTES_PER_S_MIN as f64);
        let left = (self.silence_max + earned).saturating_sub(self.waited);
        let since = Instant::now();
        let next = tokio::time::timeout(left.min(self.silence_max), self.parts.next()).await;
        self.waited += since.elapsed();
        let Some(part) = next.map_err(|_| Refusal::too_slow(self.taken, self.waited))? else { return Ok(None) };
        let part = part.map_err(|e| Refusal::bad_request(format!("the body did not arrive whole: {e}")))?;
        self.taken += part.len() as u64;
        if self.taken > self.bytes_max { Err(Refusal::too_large(self.bytes_max)) } else { Ok(Some(part)) }
    }

    /// All of it.
    ///
    /// # Errors
    /// As for [`Arriving::next`].
    pub(crate) async fn whole(mut self) -> Result<Bytes, Refusal> {
        let mut whole = Vec::new();
        while let Some(part) = self.next().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.into())
    }
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
        let parameters = Query::try_from_uri(&parts.uri).map_err(|refused| {
            let why = std::error::Error::source(&refused).map_or_else(|| refused.body_text(), ToString::to_string);
            Refusal::bad_request(format!("what follows the `?` cannot be read: {why}"))
        })?;
        Ok(Self(parameters.0))
    }
}

/// A header's text; empty where there is none.
///
/// # Errors
/// Where it is not text, or it comes twice and says two things.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.any(|other| Some(other) != first) {
        return Err(Refusal::bad_request(format!("header `{name}` comes twice with different values; send one")));
    }
    let text = first.map(|value| value.to_str());
    text.transpose().map_err(|_| Refusal::bad_request(format!("header `{name}` is not plain text")))
}
