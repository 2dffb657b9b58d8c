//! What is asked of replication over HTTP.

use std::collections::BTreeMap;
use std::io::Cursor;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Request;
use domicile_query::QueryError;
use domicile_store::{Batch, Format, Source};
use domicile_sync::{ListedConflict, Refusal as PeerRefusal, Resolution, Standing, SyncError, conflicts};
use domicile_types::limits::{BODY_BYTES_MAX, CONFLICTS_BYTES_MAX};
use domicile_types::{RegionId, SetName, Vector};
use domicile_wire::Problem;
use domicile_wire::client::now_unix_ms;
use serde::Deserialize;
use serde_json::{Value, json as json_value};
use tokio::sync::oneshot;

use super::{Command, Part, Report, travel};
use crate::peers::signed;
use crate::problems::Refusal;
use crate::serve::{Edge, Handled, Shared, json};

/// `POST /v1/peer/log`
pub(crate) async fn log(State(edge): Shared, request: Request<Body>) -> Handled {
    let work = async |caller: RegionId, body: Bytes| {
        let answer = edge.replication().ask(caller, travel::question(&body)?).await;
        let written = travel::written(&answer);
        Ok(written.ok_or_else(|| QueryError::Execution("entries cannot be encoded".to_owned()))?.into())
    };
    signed(&edge, request, BODY_BYTES_MAX, work).await
}

/// `POST /v1/peer/snapshot`
pub(crate) async fn snapshot(State(edge): Shared, request: Request<Body>) -> Handled {
    let work = async |caller: RegionId, body: Bytes| {
        let answer = edge.replication().ask_snapshot(caller, travel::snapshot_question(&body)?).await;
        let written = travel::written_snapshot(&answer);
        Ok(written.ok_or_else(|| QueryError::Execution("a snapshot cannot be encoded".to_owned()))?.into())
    };
    signed(&edge, request, BODY_BYTES_MAX, work).await
}

/// `GET /v1/sync/status`
pub(crate) async fn status(State(edge): Shared) -> Handled {
    let snapshot = edge.region.store().snapshot();
    let now_ms = now_unix_ms();
    let mut sets = Vec::new();
    for (name, part) in &edge.replication().sets {
        let (reply, answered) = oneshot::channel();
        let asked = part.commands.send(Command::Report(reply)).await;
        let report = if asked.is_ok() { answered.await.ok() } else { None };
        let applied = snapshot.applied.get(name).cloned().unwrap_or_default();
        sets.push(match report {
            Some(report) => described(name, part, &applied, &report, now_ms),
            None => json_value!({"set": name.as_str(), "stopped": true}),
        });
    }
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "sets": sets})))
}

fn described(name: &SetName, part: &Part, applied: &Vector, report: &Report, now_ms: u64) -> Value {
    let Report { status, members, stable, snapshot_bytes, set_aside, problem } = report;
    let peer = |(region, heard_ms): (&RegionId, &Option<u64>)| {
        let acked = status.acked.get(region);
        let of =
            |vector: &Vector| vector.iter().filter(|(origin, _)| origin.region == *region).map(|(_, seq)| seq).max();
        let behind = acked.and_then(of).unwrap_or(0).saturating_sub(of(applied).unwrap_or(0));
        let refusal = status.refusals.get(region).map(|refusal| match refusal {
            PeerRefusal::SnapshotRequired => "it does not keep what this region lacks",
            PeerRefusal::NotPermitted => "it does not give this set to this region",
        });
        json_value!({
            "region": region.as_str(),
            "heard_ms_ago": heard_ms.map(|heard_ms| now_ms.saturating_sub(heard_ms)),
            "entries_behind": behind,
            "has": acked.map(numbers),
            "refusal": refusal,
            "kept_bytes": status.kept_for.get(region).copied().unwrap_or(0),
        })
    };
    let ended = members.iter().filter_map(|(life, said)| Some((life.to_string(), said.fenced?)));
    let ending = members.freezing().map(|(life, _)| life.to_string());
    json_value!({
        "set": name.as_str(),
        "datasets": part.set.datasets.iter().map(|dataset| dataset.as_str()).collect::<Vec<_>>(),
        "standing": standing(status.standing),
        "snapshot_bytes_missing": snapshot_bytes,
        "applied": numbers(applied),
        "stable": numbers(stable),
        "waiting": status.pending,
        "waiting_bytes": status.pending_bytes,
        "parked": status.parked,
        "problem": problem,
        "clock_ahead": status.is_fenced && status.standing == Standing::Member,
        "ended": ended.collect::<BTreeMap<_, _>>(),
        "ending": ending.collect::<Vec<_>>(),
        "set_aside": set_aside,
        "peers": status.heard_ms.iter().map(peer).collect::<Vec<_>>(),
    })
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Member => "member",
        Standing::Unsure => "unsure",
        Standing::New => "new",
        Standing::Behind => "behind",
        Standing::Out => "given-up",
    }
}

fn numbers(vector: &Vector) -> BTreeMap<String, u64> {
    vector.iter().map(|(origin, seq)| (origin.to_string(), seq)).collect()
}

/// `GET /v1/sync/conflicts`
pub(crate) async fn list_conflicts(State(edge): Shared) -> Handled {
    let listed = listed(&edge).await?;
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "conflicts": listed})))
}

async fn listed(edge: &Edge) -> Result<Vec<ListedConflict>, Refusal> {
    if edge.replication().sets.is_empty() {
        return Ok(Vec::new());
    }
    let reader = edge.region.store().clone();
    let read = tokio::task::spawn_blocking(move || conflicts(&reader, CONFLICTS_BYTES_MAX)).await;
    Ok(read.map_err(|error| QueryError::Execution(error.to_string()))?.map_err(|error| match error {
        SyncError::Store(error) => QueryError::from(error),
        other => QueryError::Execution(other.to_string()),
    })?)
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
    Ok(json(&json_value!({"dataset": dataset, "key": key, "counts": wanted.version, "version": version})))
}
