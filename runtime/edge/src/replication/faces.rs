//! What is asked of replication over HTTP.

use std::io::Cursor;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Request;
use domicile_query::QueryError;
use domicile_store::{Batch, Format, Source};
use domicile_sync::{ListedConflict, Resolution};
use domicile_types::RegionId;
use domicile_types::limits::BODY_BYTES_MAX;
use domicile_wire::Problem;
use domicile_wire::session::Session;
use serde::Deserialize;
use serde_json::json as json_value;

use super::{copies, messages, snapshots};
use crate::peers::signed;
use crate::problems::Refusal;
use crate::serve::{Edge, Handled, Shared, json};
use crate::session::with_session;
use crate::system;

/// `POST /v1/peer/log`
pub(crate) async fn log(State(edge): Shared, request: Request<Body>) -> Handled {
    let work = async |caller: RegionId, body: Bytes| {
        let (pull, compression) = messages::read_question(&body)
            .map_err(|what| Refusal::bad_request(format!("the body is no question for entries: {what}")))?;
        copies::reply(edge.replication(), &edge.region, caller, pull, compression.as_deref()).await
    };
    signed(&edge, request, BODY_BYTES_MAX, work).await
}

/// `POST /v1/peer/snapshot`
pub(crate) async fn snapshot(State(edge): Shared, request: Request<Body>) -> Handled {
    let work = async |caller: RegionId, body: Bytes| {
        let answer = edge.replication().ask_snapshot(caller, snapshots::question(&body)?).await;
        let written = snapshots::written(&answer);
        Ok(written.ok_or_else(|| QueryError::Execution("a snapshot cannot be encoded".to_owned()))?.into())
    };
    signed(&edge, request, BODY_BYTES_MAX, work).await
}

/// `GET /v1/sync/conflicts`
pub(crate) async fn list_conflicts(State(edge): Shared) -> Handled {
    let listed = listed(&edge).await?;
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "conflicts": listed})))
}

pub(super) async fn listed(edge: &Edge) -> Result<Vec<ListedConflict>, Refusal> {
    let reader = edge.region.store().clone();
    let read = tokio::task::spawn_blocking(move || system::listed(&reader)).await;
    Ok(read.map_err(|error| QueryError::Execution(error.to_string()))??)
}

/// The body of [`resolve`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolveBody {
    dataset: String,
    key: String,
    version: String,
}

/// `POST /v1/sync/conflicts/resolve`
pub(crate) async fn resolve(State(edge): Shared, body: Body) -> Handled {
    let body = edge.whole(body, BODY_BYTES_MAX).await?;
    let wanted: ResolveBody = serde_json::from_slice(&body).map_err(|error| {
        Refusal::bad_request(format!("the body is not an object with `dataset`, `key` and `version`: {error}"))
    })?;
    let catalog = edge.region.catalog();
    let spec = catalog.spec(&wanted.dataset)?;
    edge.replication().check_writable(&spec.dataset.name).await?;
    let listed = listed(&edge).await?;
    let of_row = || listed.iter().filter(|one| one.dataset == wanted.dataset && one.key == wanted.key);
    let latest = of_row().max_by_key(|one| (one.versions.contains(&wanted.version), one.detected_ms));
    let none = || {
        let detail = format!(
            "`{}` has no conflict of row {}; `domicile sync conflicts` shows those that there are",
            wanted.dataset, wanted.key
        );
        Refusal::new(Problem::new(404, "unknown-conflict", "No such conflict", detail))
    };
    let resolved = Resolution::of(latest.ok_or_else(none)?, &wanted.version, spec);
    let Resolution { operation, line } = resolved.map_err(|error| Refusal::bad_request(error.to_string()))?;
    let batch = Batch { dataset: spec.dataset.name.clone(), operation, format: Format::Ndjson, idempotency_key: None };
    let source = Source::Stream(Box::new(Cursor::new(line.into_bytes())));
    let version = edge.region.ingest(batch, source).await?.version;
    edge.replication().acknowledged(&edge.region, &spec.dataset.name, None).await?;
    tracing::info!(dataset = wanted.dataset, key = wanted.key, counts = wanted.version, "conflict resolved");
    let (dataset, key) = (wanted.dataset, wanted.key);
    let answer = json(&json_value!({"dataset": dataset, "key": key, "counts": wanted.version, "version": version}));
    Ok(with_session(&edge, answer, Session::default(), edge.replication().set_of(&spec.dataset.name)))
}
