//! The edge that the command line talks to.

use std::time::Duration;

use domicile_wire::WireError;
use domicile_wire::client::{Answer, EdgeClient, RequestBody, full};
use domicile_wire::token::RawToken;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use crate::output::Failure;

/// Longest that anything but a load may take; the server's own limits are tighter.
const TIMEOUT: Duration = Duration::from_secs(660);

/// An edge over HTTP.
#[derive(Debug)]
pub(crate) struct Edge(pub(crate) EdgeClient, Option<RawToken>);

impl Edge {
    /// The edge at `url`, asked with this token.
    ///
    /// # Errors
    /// Where `url` is not an `http://` address, or the token is none.
    pub(crate) fn new(url: &str, token: Option<&RawToken>) -> Result<Self, Failure> {
        let unfit = || Failure::usage("the token has characters that no token has; copy it again, in one line");
        match url::Url::parse(url) {
            Ok(parsed) if parsed.scheme() == "http" && parsed.has_host() => {
                let client = EdgeClient::new(url);
                let client = match token {
                    Some(token) => client.with_token(token).ok_or_else(unfit)?,
                    None => client,
                };
                Ok(Self(client, token.cloned()))
            }
            _ => Err(Failure::usage(format!("`{url}` is not the address of an edge; write http://127.0.0.1:7401"))),
        }
    }

    /// Another edge, asked with the same token.
    ///
    /// # Errors
    /// As for [`Edge::new`].
    pub(crate) fn at(&self, url: &str) -> Result<Self, Failure> {
        Self::new(url, self.1.as_ref())
    }

    /// Asks for JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::GET, path, HeaderMap::new(), full("")).await
    }

    /// Sends a body and takes JSON.
    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Value, Failure> {
        let answer: Answer = self.0.send(method, path, headers, body, TIMEOUT).await?;
        let unreadable =
            |e: serde_json::Error| WireError::Malformed { url: self.0.url().to_owned(), detail: e.to_string() };
        Ok(serde_json::from_slice(&answer.body).map_err(unreadable)?)
    }

    /// A JSON-lines body, one value at a time.
    pub(crate) async fn lines(
        &self,
        path: &str,
        mut each: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        use http_body_util::BodyExt;
        let url = self.0.url().to_owned();
        let unreadable = |detail: String| WireError::Malformed { url: url.clone(), detail };
        let mut body = self.0.stream(path, TIMEOUT).await?;
        let mut pending = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| unreadable(e.to_string()))?;
            pending.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                each(serde_json::from_slice(&line).map_err(|e| unreadable(e.to_string()))?)?;
            }
        }
        Ok(())
    }
}

/// Adds a header.
pub(crate) fn header(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), Failure> {
    let value =
        HeaderValue::from_str(value).map_err(|_| Failure::usage(format!("`{value}` cannot be sent as {name}")))?;
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}
