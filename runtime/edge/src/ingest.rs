//! Rows on their way in: loading and deleting, streamed into the store as they come.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use domicile_store::{Ack, Batch, Format, Operation, Source};
use domicile_types::limits;
use domicile_wire::api::{LoadAnswer, header};

use crate::body::{self, disk};
use crate::incoming;
use crate::problems::Refusal;
use crate::serve::{Edge, Handled, Shared, json};

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
    let (format, idempotency_key) = (format(headers)?, idempotency_key(headers)?);
    let batch = Batch { dataset: name, operation, format, idempotency_key };
    // A batch that waits here is not read, so its sender waits too.
    let _place = edge.load_places.acquire().await;
    let ack = match format {
        Format::Parquet => spooled(&edge, batch, body).await?,
        _ => streamed(&edge, batch, body).await?,
    };
    let Ack { rows, bytes, version, already_loaded } = ack;
    tracing::info!(dataset, ?operation, rows, version, already_loaded, "stored");
    Ok(json(&LoadAnswer { dataset, rows, bytes, version, already_loaded }))
}

/// Keeps the body in a file first: Parquet is read from its end.
async fn spooled(edge: &Edge, batch: Batch, body: Body) -> Result<Ack, Refusal> {
    let spooled = tempfile::NamedTempFile::new_in(&edge.incoming).map_err(|e| disk(&e))?;
    let mut file = tokio::fs::File::from_std(spooled.reopen().map_err(|e| disk(&e))?);
    body::spool(body, &mut file, edge.load_bytes_max).await?;
    Ok(edge.region.ingest(batch, Source::File(spooled.path().to_owned())).await?)
}

async fn streamed(edge: &Edge, batch: Batch, body: Body) -> Result<Ack, Refusal> {
    let (sender, reader) = incoming::channel();
    let pumping = incoming::pump(body, sender, edge.load_bytes_max);
    let ingesting = edge.region.ingest(batch, Source::Stream(Box::new(reader)));
    // Both end together: each notices when the other gives up.
    let (pumped, ingested) = tokio::join!(pumping, ingesting);
    pumped?;
    Ok(ingested?)
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let encoding = body::header(headers, CONTENT_ENCODING.as_str())?.unwrap_or("identity");
    if !encoding.eq_ignore_ascii_case("identity") {
        return Err(body::unsupported("a body", "it is, without an encoding", encoding));
    }
    let kind = body::header(headers, CONTENT_TYPE.as_str())?.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
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
