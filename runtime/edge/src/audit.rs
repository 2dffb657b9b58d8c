//! The ledger, for anyone who checks it.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json as json_value;

use crate::body::Parameters;
use crate::serve::{Handled, Shared, json};

/// Records that wait for a slow reader.
const RECORDS_AHEAD_MAX: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    #[serde(default)]
    from_sequence: u64,
}

/// `GET /v1/audit/receipts`: one record a line, oldest first, then `{"end":{"records":n}}`. The ledger is read as fast
/// as the client reads, and never held in memory.
pub(crate) async fn receipts(State(edge): Shared, Parameters(range): Parameters<Range>) -> Handled {
    let records = edge.region.ledger().records(range.from_sequence)?;
    let (lines, waiting) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(RECORDS_AHEAD_MAX);
    tokio::task::spawn_blocking(move || {
        let mut sent = 0_u64;
        for record in records {
            let line = record.map_err(std::io::Error::other).and_then(|record| {
                let mut line = serde_json::to_vec(&record).map_err(std::io::Error::other)?;
                line.push(b'\n');
                Ok(Bytes::from(line))
            });
            let failed = line.is_err();
            if lines.blocking_send(line).is_err() || failed {
                return;
            }
            sent += 1;
        }
        let end = format!("{}\n", json_value!({"end": {"records": sent}}));
        // A reader that went away needs no end.
        let _ = lines.blocking_send(Ok(Bytes::from(end)));
    });
    let lines = futures::stream::unfold(waiting, |mut waiting| async { Some((waiting.recv().await?, waiting)) });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// `GET /v1/audit/heads`: the latest receipts that this region has seen of other regions' ledgers.
pub(crate) async fn heads(State(edge): Shared) -> Handled {
    Ok(json(&json_value!({ "region": edge.region.id().as_str(), "heads": edge.region.heads().await? })))
}

/// `GET /v1/audit/key`
pub(crate) async fn key(State(edge): Shared) -> Handled {
    Ok(json(&json_value!({
        "region": edge.region.id().as_str(),
        "algorithm": "ed25519",
        "key": edge.region.receipt_key(),
    })))
}
