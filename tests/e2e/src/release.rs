//! Releases of plugins, as an operator changes and watches them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use domicile_harness::{Edge, Response};
use serde_json::Value;

/// Longest that something may take that goes on beside the answers.
const BESIDE_TIMEOUT: Duration = Duration::from_secs(60);

/// `POST /v1/plugins/{name}/{what}`.
///
/// # Errors
/// Where the edge cannot be reached.
pub fn post(edge: &Edge, name: &str, what: &str, body: &Value) -> Result<Response> {
    let headers = [("Content-Type", "application/json")];
    edge.send("POST", &format!("/v1/plugins/{name}/{what}"), &headers, body.to_string().as_bytes())
}

/// What a change of a release answers.
///
/// # Errors
/// As for [`post`], and where the change is refused.
pub fn change(edge: &Edge, name: &str, what: &str, body: &Value) -> Result<Value> {
    let response = post(edge, name, what, body)?;
    ensure!(response.status == 200, "{what}: {}", response.text());
    response.json()
}

/// Waits until the shadow of a plugin was compared that often.
///
/// # Errors
/// Where it was not in a long time.
pub fn compared(edge: &Edge, name: &str, times: u64) -> Result<Value> {
    let deadline = Instant::now() + BESIDE_TIMEOUT;
    loop {
        let report = edge.get(&format!("/v1/plugins/{name}/shadow"))?.json()?;
        if report["compared"].as_u64().unwrap_or_default() >= times {
            return Ok(report);
        }
        ensure!(Instant::now() < deadline, "the shadow was not compared: {report}");
        thread::sleep(Duration::from_millis(50));
    }
}
