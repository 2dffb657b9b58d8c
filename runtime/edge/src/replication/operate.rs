//! What operators ask of replication: regions given up, and entries that were set aside.

use axum::body::Body;
use axum::extract::State;
use domicile_query::QueryError;
use domicile_store::{BootstrapProblem, Quarantined, Store, StoreError};
use domicile_sync::SyncError;
use domicile_types::limits::BODY_BYTES_MAX;
use domicile_types::{Origin, RegionId, SetName};
use domicile_wire::Problem;
use domicile_wire::client::now_unix_ms;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json as json_value};
use tokio::sync::oneshot;

use super::{Command, GivenUp, Part};
use crate::problems::Refusal;
use crate::serve::{Edge, Handled, Shared, json};

/// The body of [`fence`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FenceBody {
    region: String,
    /// All that the region is in where none is named.
    set: Option<String>,
}

/// The body of [`retry`] and [`drop_entry`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryBody {
    /// As [`quarantine`] lists it.
    entry: String,
    /// All sets are looked through where none is named.
    set: Option<String>,
}

async fn read<B: DeserializeOwned>(edge: &Edge, body: Body, form: &str) -> Result<B, Refusal> {
    let body = edge.whole(body, BODY_BYTES_MAX).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad_request(format!("the body is not an object with {form}: {error}")))
}

/// The sets that are meant.
fn named<'e>(edge: &'e Edge, set: Option<&str>) -> Result<Vec<(&'e SetName, &'e Part)>, Refusal> {
    let sets = edge.replication().sets.iter();
    let sets: Vec<_> = sets.filter(|(name, _)| set.is_none_or(|set| name.as_str() == set)).collect();
    if sets.is_empty() {
        let detail = match set {
            Some(set) => format!("this region is in no replication set `{set}`; `domicile sync status` shows its sets"),
            None => "this region is in no replication set".to_owned(),
        };
        return Err(Refusal::new(Problem::new(404, "unknown-set", "No such replication set", detail)));
    }
    Ok(sets)
}

/// `POST /v1/sync/fence`
pub(crate) async fn fence(State(edge): Shared, body: Body) -> Handled {
    let FenceBody { region, set } = read(&edge, body, "`region` and perhaps `set`").await?;
    let region: RegionId =
        region.parse().map_err(|_| Refusal::bad_request(format!("`{region}` is no name of a region")))?;
    let mut ending = Vec::new();
    let of = |part: &Part| part.set.regions.contains(&region);
    let parts: Vec<_> = named(&edge, set.as_deref())?.into_iter().filter(|(_, part)| of(part)).collect();
    if parts.is_empty() {
        let detail = format!("`{region}` is in no replication set of this region; `domicile sync status` shows who is");
        return Err(Refusal::new(Problem::new(404, "unknown-member", "No such member", detail)));
    }
    for (name, part) in parts {
        let (reply, answered) = oneshot::channel();
        let sent = part.commands.send(Command::GiveUp(GivenUp { region: region.clone(), reply })).await;
        let answer = if sent.is_ok() { answered.await.ok() } else { None };
        let answer = answer.ok_or_else(|| QueryError::Execution("replication has stopped".to_owned()))?;
        let logs = answer.map_err(|error| not_fenced(&region, &error))?;
        let logs: Vec<String> = logs.iter().map(Origin::to_string).collect();
        ending.push(json_value!({"set": name.as_str(), "ending": logs}));
    }
    Ok(json(&json_value!({"region": region.as_str(), "sets": ending})))
}

fn not_fenced(region: &RegionId, error: &SyncError) -> Refusal {
    match error {
        SyncError::NotMember { region: other, .. } if other == region => {
            let detail = format!(
                "`{region}` has no log that could end: it is given up already, or is the region that is asked; \
                 `domicile sync status` shows which logs have ended"
            );
            Refusal::new(Problem::new(409, "not-given-up", "The region cannot be given up", detail))
        }
        SyncError::NotMember { region: here, .. } => {
            let detail = format!("`{here}` does not take part itself now, so it cannot say so; ask another region");
            Refusal::new(Problem::new(409, "not-a-member", "The region does not take part yet", detail))
        }
        other => QueryError::Execution(other.to_string()).into(),
    }
}

/// `GET /v1/sync/quarantine`
pub(crate) async fn quarantine(State(edge): Shared) -> Handled {
    let sets: Vec<SetName> = edge.replication().sets.keys().cloned().collect();
    let listed = |store: &mut Store| -> Result<Vec<Value>, StoreError> {
        let mut entries = Vec::new();
        for set in sets {
            entries.extend(store.quarantined(&set)?.iter().map(|entry| described(&set, entry)));
        }
        Ok(entries)
    };
    let entries = edge.region.with_store(listed).await?.map_err(QueryError::from)?;
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "entries": entries})))
}

fn described(set: &SetName, entry: &Quarantined) -> Value {
    json_value!({
        "set": set.as_str(),
        "entry": entry.dot.to_string(),
        "dataset": entry.dataset.as_str(),
        "rows": entry.rows,
        "bytes": entry.bytes,
        "written_ms": entry.hlc.unix_ms(),
        "decided": entry.is_decided,
    })
}

/// `POST /v1/sync/quarantine/retry`
pub(crate) async fn retry(State(edge): Shared, body: Body) -> Handled {
    let (set, entry) = found(&edge, body).await?;
    edge.replication().check_writable(&entry.dataset).await?;
    let dot = entry.dot.clone();
    let committed = edge.region.with_store(move |store| store.commit_quarantined(&set, &dot, now_unix_ms())).await?;
    let ack = committed.map_err(refused)?;
    edge.replication().acknowledged(&edge.region, &entry.dataset, None).await?;
    tracing::info!(entry = %entry.dot, rows = ack.rows, "an entry that was set aside is written anew");
    let (entry, dataset) = (entry.dot.to_string(), entry.dataset.as_str());
    Ok(json(&json_value!({"entry": entry, "dataset": dataset, "rows": ack.rows, "version": ack.version})))
}

/// `POST /v1/sync/quarantine/drop`
pub(crate) async fn drop_entry(State(edge): Shared, body: Body) -> Handled {
    let (set, entry) = found(&edge, body).await?;
    let dot = entry.dot.clone();
    edge.region.with_store(move |store| store.drop_quarantined(&set, &dot)).await?.map_err(refused)?;
    tracing::warn!(entry = %entry.dot, rows = entry.rows, "an entry that was set aside is dropped");
    Ok(json(&json_value!({"entry": entry.dot.to_string(), "dropped": true})))
}

/// The entry that a body names, and its set.
async fn found(edge: &Edge, body: Body) -> Result<(SetName, Quarantined), Refusal> {
    let wanted: EntryBody = read(edge, body, "`entry` and perhaps `set`").await?;
    let sets = named(edge, wanted.set.as_deref())?;
    let sets: Vec<SetName> = sets.into_iter().map(|(name, _)| name.clone()).collect();
    let text = wanted.entry.clone();
    let find = move |store: &mut Store| -> Result<Option<(SetName, Quarantined)>, StoreError> {
        for set in sets {
            let entry = store.quarantined(&set)?.into_iter().find(|entry| entry.dot.to_string() == text);
            if let Some(entry) = entry {
                return Ok(Some((set, entry)));
            }
        }
        Ok(None)
    };
    let found = edge.region.with_store(find).await?.map_err(QueryError::from)?;
    found.ok_or_else(|| unknown(&wanted.entry))
}

fn unknown(entry: &str) -> Refusal {
    let detail = format!(
        "entry `{entry}` is not among those that were set aside here; `domicile sync quarantine list` shows them"
    );
    Refusal::new(Problem::new(404, "unknown-entry", "No such entry", detail))
}

fn refused(error: StoreError) -> Refusal {
    match error {
        StoreError::Bootstrap(BootstrapProblem::NotQuarantined { dot }) => unknown(&dot.to_string()),
        StoreError::Bootstrap(problem @ BootstrapProblem::Undecided { .. }) => {
            Refusal::new(Problem::new(409, "undecided-entry", "The entry may still count", problem.to_string()))
        }
        other => QueryError::from(other).into(),
    }
}
