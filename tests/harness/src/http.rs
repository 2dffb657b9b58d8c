//! A thin blocking HTTP/1.1 client: one connection a request, nothing hidden.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::Answer;

/// Longest that a server may be silent before a request is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(120);

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body, decoded from chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer that no server gave, for tests of what reads answers.
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { status, headers, body: body.into() }
    }

    /// The value of a header, its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers in the order in which they came.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Where it is something else; the error shows the beginning.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| {
            let text: String = self.text().chars().take(400).collect();
            format!("status {} with a body that is not JSON: {text}", self.status)
        })
    }

    /// The body as the answer of a query.
    ///
    /// # Errors
    /// Where the status is not 200, with the problem document, or the body is not an answer.
    pub fn answer(&self) -> Result<Answer> {
        ensure!(self.status == 200, "status {}: {}", self.status, self.text());
        Answer::new(self.json()?)
    }
}

/// A request whose body is on its way.
#[derive(Debug)]
pub struct Sending(TcpStream);

impl Sending {
    /// Sends more of the body. An edge that has refused the request already may not take it.
    pub fn send(&mut self, bytes: &[u8]) {
        // Its answer says why.
        let _ = self.0.write_all(bytes);
    }

    /// Whether an answer has begun to come, or comes within this time.
    ///
    /// # Errors
    /// Where the connection broke off.
    pub fn is_answered(&self, within: Duration) -> Result<bool> {
        self.0.set_read_timeout(Some(within))?;
        let seen = self.0.peek(&mut [0]);
        self.0.set_read_timeout(Some(SILENCE_MAX))?;
        match seen {
            Ok(length) => Ok(length > 0),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(error).context("the connection broke off"),
        }
    }

    /// The answer, waited for.
    ///
    /// # Errors
    /// Where none comes.
    pub fn answer(mut self) -> Result<Response> {
        receive(&mut self.0, Ok(()))
    }
}

/// The HTTP front door of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    url: String,
    token: Option<String>,
}

impl Edge {
    /// The edge at a URL such as `http://127.0.0.1:7401`.
    pub fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), token: None }
    }

    /// The same edge, asked with this token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The same edge, asked without a token.
    #[must_use]
    pub fn without_token(mut self) -> Self {
        self.token = None;
        self
    }

    /// The URL without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET path`.
    ///
    /// # Errors
    /// Where the edge cannot be reached or answers something that is not HTTP.
    pub fn get(&self, path: &str) -> Result<Response> {
        self.send("GET", path, &[], b"")
    }

    /// `POST /v1/query` with raw SQL.
    ///
    /// # Errors
    /// As for [`Edge::get`].
    pub fn query(&self, sql: &str) -> Result<Response> {
        self.query_with(sql, &[])
    }

    /// `POST /v1/query` with raw SQL and further headers.
    ///
    /// # Errors
    /// As for [`Edge::get`].
    pub fn query_with(&self, sql: &str, headers: &[(&str, &str)]) -> Result<Response> {
        let headers: Vec<_> = [("Content-Type", "application/sql")].iter().chain(headers).copied().collect();
        self.send("POST", "/v1/query", &headers, sql.as_bytes())
    }

    /// `POST /v1/datasets/{dataset}/rows` with a `.csv` or `.parquet` file.
    ///
    /// # Errors
    /// As for [`Edge::get`], and where the file cannot be read.
    pub fn load(&self, dataset: &str, file: &Path) -> Result<Response> {
        let csv = file.extension().is_some_and(|extension| extension == "csv");
        let content_type = if csv { "text/csv" } else { "application/vnd.apache.parquet" };
        let body = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.rows("POST", dataset, &[("Content-Type", content_type)], &body)
    }

    /// `POST` or `DELETE /v1/datasets/{dataset}/rows`.
    ///
    /// # Errors
    /// As for [`Edge::get`].
    pub fn rows(&self, method: &str, dataset: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
        self.send(method, &format!("/v1/datasets/{dataset}/rows"), headers, body)
    }

    /// `POST /v1/datasets/{dataset}/rows` with a body in chunks, whose length the edge learns at its end. Where `whole`
    /// is false, the connection ends instead, and nothing is waited for.
    ///
    /// # Errors
    /// As for [`Edge::get`].
    pub fn rows_in_chunks(
        &self,
        dataset: &str,
        content_type: &str,
        chunks: impl IntoIterator<Item = Vec<u8>>,
        whole: bool,
    ) -> Result<Option<Response>> {
        let head = format!("Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut stream = self.connect("POST", &format!("/v1/datasets/{dataset}/rows"), &head)?;
        for chunk in chunks {
            let framed = [format!("{:x}\r\n", chunk.len()).into_bytes(), chunk, b"\r\n".to_vec()].concat();
            if stream.write_all(&framed).is_err() {
                // An early refusal: the answer says why.
                break;
            }
        }
        if !whole {
            return Ok(None);
        }
        let sent = stream.write_all(b"0\r\n\r\n");
        receive(&mut stream, sent).map(Some)
    }

    /// `POST path` with a body of `length` bytes, of which none is sent yet.
    ///
    /// # Errors
    /// As for [`Edge::get`].
    pub fn begin(&self, path: &str, content_type: &str, length: usize) -> Result<Sending> {
        let head = format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
        self.connect("POST", path, &head).map(Sending)
    }

    /// `PUT /v1/plugins/{name}/versions/{version}` with a component.
    ///
    /// # Errors
    /// As for [`Edge::get`].
    pub fn deploy(&self, name: &str, version: &str, component: &[u8]) -> Result<Response> {
        let path = format!("/v1/plugins/{name}/versions/{version}");
        self.send("PUT", &path, &[("Content-Type", "application/wasm")], component)
    }

    /// The records of this region's ledger, from the first on.
    ///
    /// # Errors
    /// As for [`Edge::get`], and where the edge refuses, a line is not JSON, or the list broke off.
    pub fn ledger(&self) -> Result<Vec<Value>> {
        let response = self.get("/v1/audit/receipts?from_sequence=0")?;
        ensure!(response.status == 200, "status {}: {}", response.status, response.text());
        let lines = response.text();
        let lines = lines.lines().map(|line| serde_json::from_str(line).context("a line of the ledger is not JSON"));
        let mut records: Vec<Value> = lines.collect::<Result<_>>()?;
        let end = records.pop().context("the ledger has no end")?;
        ensure!(end["end"]["records"] == records.len(), "the ledger broke off after {} records", records.len());
        Ok(records)
    }

    /// Any request.
    ///
    /// # Errors
    /// As for [`Edge::get`].
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
        let mut head: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut stream = self.connect(method, path, &head)?;
        // A server that refuses early may close its side while we still write: its answer counts, not our error.
        let sent = stream.write_all(body);
        receive(&mut stream, sent).with_context(|| format!("{method} {path} at {}", self.url))
    }

    /// A connection on which a request has begun; `head` ends it.
    fn connect(&self, method: &str, path: &str, head: &str) -> Result<TcpStream> {
        let address = self.url.strip_prefix("http://").context("an edge has a URL that starts with http://")?;
        let mut stream = TcpStream::connect(address).with_context(|| format!("{} is not reachable", self.url))?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        stream.set_nodelay(true)?;
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let start = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{token}");
        stream.write_all(format!("{start}{head}").as_bytes())?;
        Ok(stream)
    }
}

/// The answer to a request that was sent, well or not.
fn receive(stream: &mut TcpStream, sent: std::io::Result<()>) -> Result<Response> {
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    match parse(&received) {
        Ok(response) => Ok(response),
        Err(error) => {
            sent.and(read.map(|_| ())).context("the connection broke off")?;
            Err(error)
        }
    }
}

/// Text as it may stand in a path or a query string.
pub fn percent_encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn parse(received: &[u8]) -> Result<Response> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").context("no HTTP answer came")?;
    let head = std::str::from_utf8(&received[..end]).context("the answer's head is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut response =
        Response { status: status.context("the answer has no status")?, headers, body: received[end + 4..].to_vec() };
    if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        response.body = dechunk(&response.body)?;
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().context("a Content-Length that is not a number")?;
        ensure!(response.body.len() >= length, "the body broke off: {} of {length} bytes", response.body.len());
    }
    Ok(response)
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").context("the chunked body broke off")?;
        let size = std::str::from_utf8(&rest[..end])?.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk without a size")?;
        if size == 0 {
            return Ok(body);
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { bail!("the chunked body broke off") };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 2 + size + 2..).context("the chunked body broke off")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(received: &str, expect: Result<(u16, &str), &str>) {
        let got = parse(received.as_bytes()).map(|r| (r.status, r.text())).map_err(|e| e.to_string());
        assert_eq!(got, expect.map(|(status, body)| (status, body.to_owned())).map_err(str::to_owned));
    }

    #[test]
    fn plain_and_chunked_bodies() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Ok((200, "hi")));
        check("HTTP/1.1 403 Forbidden\r\n\r\n", Ok((403, "")));
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=1\r\n yo\r\n0\r\n\r\n",
            Ok((200, "hi yo")),
        );
    }

    #[test]
    fn a_broken_answer_is_an_error() {
        check("", Err("no HTTP answer came"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", Err("the body broke off: 2 of 3 bytes"));
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi\r\n", Err("the chunked body broke off"));
    }

    #[test]
    fn encoding() {
        assert_eq!(percent_encode("a b&c=é~"), "a%20b%26c%3D%C3%A9~");
    }
}
