//! A NATS JetStream mirror: how fast it has the messages of a stream elsewhere, each of them synced.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::Pace;
use super::nats::Nats;
use super::nats_client::Client;
use super::place::{self, APPLYING, SERVER_TIMEOUT, cpu_seconds, giving, until};

/// Longest that the mirror may take.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Publishes rows, so many in each message, and measures from when the mirror is made until it, held to one core, has all
/// messages, each synced as it is stored.
///
/// # Errors
/// Where a server does not start, or messages do not arrive.
pub(super) fn apply(program: &Path, dir: &Path, lines: &[&str], message_rows: usize) -> Result<Pace> {
    let dir = place::dir(dir, "nats")?;
    // Only what the mirror stores is measured, so only that has to be durable.
    let hub = Nats::start(program, dir.path(), "hub", &giving(), None, false)?;
    let mut source = connected(&hub)?;
    let stream = json!({"name": "orders", "subjects": ["orders"], "storage": "file", "retention": "limits"});
    source.ask("$JS.API.STREAM.CREATE.orders", &stream)?;
    let messages: Vec<String> = lines.chunks(message_rows).map(|rows| rows.join("\n")).collect();
    source.publish("orders", messages.iter().map(String::as_bytes))?;

    let leaf = Nats::start(program, dir.path(), "leaf", APPLYING, Some(hub.leaf_port), true)?;
    let mut client = connected(&leaf)?;
    until("the leaf's way to the hub", SERVER_TIMEOUT, || Ok(client.ask("$JS.hub.API.INFO", &json!({})).ok()))?;
    let mirror = json!({
        "name": "mirror",
        "storage": "file",
        "retention": "limits",
        "mirror": {"name": "orders", "external": {"api": "$JS.hub.API", "deliver": ""}},
    });
    let cpu_before = cpu_seconds(leaf.process())?;
    let started = Instant::now();
    client.ask("$JS.API.STREAM.CREATE.mirror", &mirror)?;
    until("the mirror", TIMEOUT, || {
        let state = client.ask("$JS.API.STREAM.INFO.mirror", &json!({}))?;
        Ok((state["state"]["messages"].as_u64() == Some(messages.len() as u64)).then_some(()))
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu_s = cpu_seconds(leaf.process())? - cpu_before;
    ensure!(!lines.is_empty(), "no rows were measured");
    Ok(Pace { rows_per_s: lines.len() as f64 / seconds, rows_per_cpu_s: lines.len() as f64 / cpu_s })
}

/// A connection, once the server listens and JetStream is there.
fn connected(server: &Nats) -> Result<Client> {
    until("the start of a NATS server", SERVER_TIMEOUT, || {
        let connected = Client::connect(server.port);
        Ok(connected.and_then(|mut client| client.ask("$JS.API.INFO", &json!({})).map(|_| client)).ok())
    })
}
