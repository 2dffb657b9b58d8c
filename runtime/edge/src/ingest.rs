//! Rows on their way in: loading and deleting, streamed into the store as they come.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use domicile_store::{Ack, Batch, Format, Operation, Source};
use domicile_types::{Acknowledge, AcknowledgeError, limits};
use domicile_wire::api::{LoadAnswer, header};

use crate::body;
use crate::incoming;
use crate::media::media_type;
use crate::problems::Refusal;
use crate::serve::{Handled, Shared, json};
use crate::session;

const CSV: &str = "text/csv";
const JSON: &str = "application/json";
const NDJSON: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
const PARQUET: &str = "application/vnd.apache.parquet";

/// `POST /v1/datasets/{dataset}/rows`
pub(crate) async fn load(state: Shared, path: Path<String>, headers: HeaderMap, body: Body) -> Handled {
    ingest(state, path, &headers, body, Operation::Upsert).await
}

/// `DELETE /v1/datasets/{dataset}/rows`
pub(crate) async fn delete(state: Shared, path: Path<String>, headers: HeaderMap, body: Body) -> Handled {
    ingest(state, path, &headers, body, Operation::Delete).await
}

async fn ingest(
    State(edge): Shared,
    Path(dataset): Path<String>,
    headers: &HeaderMap,
    body: Body,
    operation: Operation,
) -> Handled {
    let name = edge.region.catalog().spec(&dataset)?.dataset.name.clone();
    edge.replication().check_writable(&name).await?;
    let session = session::brought(headers)?;
    let (format, idempotency_key, wanted) = (format(headers)?, idempotency_key(headers)?, acknowledge(headers)?);
    let batch = Batch { dataset: name.clone(), operation, format, idempotency_key };
    let body = edge.arriving(body, edge.load_bytes_max)?;
    // A batch that waits is not read, so its sender waits too.
    let (sender, reader) = incoming::channel();
    let pumping = incoming::pump(body, sender);
    let ingesting = edge.region.ingest(batch, Source::Stream(Box::new(reader)));
    // Both end together: each notices when the other gives up.
    let (pumped, ingested) = tokio::join!(pumping, ingesting);
    pumped?;
    let ack = ingested?;
    let Ack { rows, bytes, version, already_loaded } = ack;
    tracing::info!(dataset, ?operation, rows, version, already_loaded, "stored");
    edge.replication().acknowledged(&edge.region, &name, wanted).await?;
    let answer = json(&LoadAnswer { dataset, rows, bytes, version, already_loaded });
    Ok(session::with_session(&edge, answer, session, edge.replication().set_of(&name)))
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let encoding = body::header(headers, CONTENT_ENCODING.as_str())?.unwrap_or("identity");
    if !encoding.eq_ignore_ascii_case("identity") {
        return Err(body::unsupported("a body", "it is, without an encoding", encoding));
    }
    let kind = media_type(headers)?.unwrap_or_default();
    match kind.as_str() {
        CSV => Ok(Format::Csv),
        JSON => Ok(Format::Json),
        ARROW_STREAM => Ok(Format::ArrowStream),
        PARQUET => Ok(Format::Parquet),
        lines if NDJSON.contains(&lines) => Ok(Format::Ndjson),
        other => {
            let taken = [CSV, JSON, NDJSON[0], ARROW_STREAM].join(", ");
            Err(body::unsupported("a file of rows", &format!("{taken} or {PARQUET}"), other))
        }
    }
}

/// When the rows count as stored; none where the request leaves that to the dataset's replication set.
fn acknowledge(headers: &HeaderMap) -> Result<Option<Acknowledge>, Refusal> {
    let text = body::header(headers, header::ACKNOWLEDGE)?;
    text.map(|text| text.trim().parse().map_err(|error: AcknowledgeError| Refusal::bad_request(error.to_string())))
        .transpose()
}

/// The key in `Idempotency-Key`: a text in quotes, as the draft of the IETF has it, or without them.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(text) = body::header(headers, header::IDEMPOTENCY_KEY)? else { return Ok(None) };
    let text = text.trim();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
    match key.len() {
        0 => Err(Refusal::bad_request("`Idempotency-Key` is empty; leave it out, or take a random text")),
        length if length > max => {
            Err(Refusal::bad_request(format!("`Idempotency-Key` has {length} bytes, it may have {max}")))
        }
        _ => Ok(Some(key.to_owned())),
    }
}
