//! Pausing replication: what is asked for over HTTP, and the file that keeps it over restarts.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::State;
use domicile_query::QueryError;
use domicile_store::{StoreError, write_atomic};
use domicile_sync::Pauses;
use domicile_types::limits::BODY_BYTES_MAX;
use domicile_types::{RegionId, SetName, nearest, suggestion};
use domicile_wire::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as json_value};
use tokio::sync::oneshot;

use super::{Command, Part, Replication};
use crate::problems::Refusal;
use crate::serve::{Edge, Handled, Shared, json};

/// What is to become of the pauses of a set.
#[derive(Debug)]
pub(super) enum PauseChange {
    /// The set, or what comes from one region, is paused.
    Pause(Option<RegionId>),
    /// All pauses of the set end, or that of one region.
    Resume(Option<RegionId>),
}

/// The file that has the pauses of one set.
#[derive(Debug, Clone)]
pub(super) struct PauseFile(PathBuf);

/// Pauses as the file has them: since when, in Unix milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    from_ms: BTreeMap<String, u64>,
}

impl PauseFile {
    /// The file of a set in the region's data directory.
    pub(super) fn of(data_dir: &Path, set: &SetName) -> Self {
        Self(data_dir.join(format!("paused-{set}.json")))
    }

    /// What is paused; nothing where there is no file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(super) fn read(&self) -> Result<Pauses, QueryError> {
        let unfit = |detail: String| {
            let path = self.0.display();
            QueryError::Execution(format!(
                "what of replication is paused, {path}, cannot be read: {detail}; remove the file, and pause again what is \
                 to be"
            ))
        };
        let kept: Kept = match std::fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unfit(error.to_string()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(unfit(error.to_string())),
        };
        let from = kept.from_ms.into_iter().map(|(region, since_ms)| Ok((region.parse()?, since_ms)));
        let from_ms = from.collect::<Result<_, domicile_types::NameError>>().map_err(|e| unfit(e.to_string()))?;
        Ok(Pauses { whole_ms: kept.whole_ms, from_ms })
    }

    /// Keeps what is paused, for good.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(super) async fn write(&self, pauses: &Pauses) -> Result<(), StoreError> {
        let from_ms = pauses.from_ms.iter().map(|(region, since_ms)| (region.to_string(), *since_ms)).collect();
        // Numbers and names, which JSON cannot refuse.
        let bytes = serde_json::to_vec(&Kept { whole_ms: pauses.whole_ms, from_ms }).unwrap_or_default();
        let path = self.0.clone();
        let written = tokio::task::spawn_blocking(move || write_atomic(&path, &bytes)).await;
        written.unwrap_or_else(|error| {
            let source = std::io::Error::other(error);
            Err(StoreError::Io { action: "write", path: self.0.clone(), source })
        })
    }
}

/// The body of [`pause`] and [`resume`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    set: String,
    #[serde(default)]
    from: Option<String>,
}

/// `POST /v1/sync/pause`
pub(crate) async fn pause(State(edge): Shared, body: Body) -> Handled {
    change(&edge, body, PauseChange::Pause).await
}

/// `POST /v1/sync/resume`
pub(crate) async fn resume(State(edge): Shared, body: Body) -> Handled {
    change(&edge, body, PauseChange::Resume).await
}

async fn change(edge: &Edge, body: Body, change: fn(Option<RegionId>) -> PauseChange) -> Handled {
    let body = edge.whole(body, BODY_BYTES_MAX).await?;
    let wanted: PauseBody = serde_json::from_slice(&body).map_err(|error| {
        Refusal::bad_request(format!(
            "the body is not an object with `set`, and `from` where only one region is meant: {error}"
        ))
    })?;
    let (set, part) = edge.replication().part(&wanted.set)?;
    let from = wanted.from.map(|from| known_region(edge, part, &from)).transpose()?;
    let (reply, answered) = oneshot::channel();
    let stopped = || Refusal::from(QueryError::Execution(format!("replication set `{set}` has stopped here")));
    part.commands.send(Command::Pause { change: change(from), reply }).await.map_err(|_| stopped())?;
    let pauses = answered.await.map_err(|_| stopped())?.map_err(QueryError::from)?;
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "set": set.as_str(), "paused": described(&pauses)})))
}

/// Another region of the set.
fn known_region(edge: &Edge, part: &Part, name: &str) -> Result<RegionId, Refusal> {
    let others = || part.set.regions.iter().filter(|region| *region != edge.region.id());
    others().find(|region| region.as_str() == name).cloned().ok_or_else(|| {
        let hint = suggestion(nearest(name, others().map(RegionId::as_str)));
        Refusal::bad_request(format!("`{name}` is no other region of replication set `{}`{hint}", part.set.name))
    })
}

impl Replication {
    /// The part in a set.
    fn part(&self, name: &str) -> Result<(&SetName, &Part), Refusal> {
        self.sets.iter().find(|(set, _)| set.as_str() == name).ok_or_else(|| {
            let hint = suggestion(nearest(name, self.sets.keys().map(SetName::as_str)));
            let detail = format!("this region takes part in no replication set `{name}`{hint}");
            Refusal::new(Problem::new(404, "unknown-set", "No such replication set", detail))
        })
    }
}

/// What is paused, for people; null where nothing is.
pub(super) fn described(pauses: &Pauses) -> Value {
    if pauses.is_empty() {
        return Value::Null;
    }
    let from: BTreeMap<&str, u64> = pauses.from_ms.iter().map(|(region, ms)| (region.as_str(), *ms)).collect();
    json_value!({"whole_since_ms": pauses.whole_ms, "from_since_ms": from})
}
