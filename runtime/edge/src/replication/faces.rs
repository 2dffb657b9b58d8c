//! What is asked of replication over HTTP.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Request;
use domicile_query::QueryError;
use domicile_sync::{Refusal as PeerRefusal, ReplicaStatus, SyncError, conflicts};
use domicile_types::limits::{BODY_BYTES_MAX, CONFLICTS_BYTES_MAX};
use domicile_types::{RegionId, SetName, Vector};
use domicile_wire::client::now_unix_ms;
use serde_json::{Value, json as json_value};
use tokio::sync::oneshot;

use super::{Command, Part, travel};
use crate::peers::signed;
use crate::serve::{Handled, Shared, json};

/// `POST /v1/peer/log`
pub(crate) async fn log(State(edge): Shared, request: Request<Body>) -> Handled {
    let work = async |caller: RegionId, body: Bytes| {
        let answer = edge.replication().ask(caller, travel::question(&body)?).await;
        let written = travel::written(&answer);
        Ok(written.ok_or_else(|| QueryError::Execution("entries cannot be encoded".to_owned()))?.into())
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
        let asked = part.commands.send(Command::Status(reply)).await;
        let status = if asked.is_ok() { answered.await.ok() } else { None };
        let applied = snapshot.applied.get(name).cloned().unwrap_or_default();
        sets.push(match status {
            Some(status) => described(name, part, &applied, &status, now_ms),
            None => json_value!({"set": name.as_str(), "stopped": true}),
        });
    }
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "sets": sets})))
}

fn described(name: &SetName, part: &Part, applied: &Vector, status: &ReplicaStatus, now_ms: u64) -> Value {
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
        })
    };
    json_value!({
        "set": name.as_str(),
        "datasets": part.set.datasets.iter().map(|dataset| dataset.as_str()).collect::<Vec<_>>(),
        "applied": numbers(applied),
        "waiting": status.pending,
        "waiting_bytes": status.pending_bytes,
        "parked": status.parked,
        "clock_ahead": status.is_fenced,
        "peers": status.heard_ms.iter().map(peer).collect::<Vec<_>>(),
    })
}

fn numbers(vector: &Vector) -> BTreeMap<String, u64> {
    vector.iter().map(|(origin, seq)| (origin.to_string(), seq)).collect()
}

/// `GET /v1/sync/conflicts`
pub(crate) async fn list_conflicts(State(edge): Shared) -> Handled {
    let reader = edge.region.store().clone();
    let read = move || conflicts(&reader, CONFLICTS_BYTES_MAX);
    let listed = match edge.replication().sets.is_empty() {
        true => Vec::new(),
        false => {
            let read = tokio::task::spawn_blocking(read).await;
            read.map_err(|error| QueryError::Execution(error.to_string()))?.map_err(|error| match error {
                SyncError::Store(error) => QueryError::from(error),
                other => QueryError::Execution(other.to_string()),
            })?
        }
    };
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "conflicts": listed})))
}
