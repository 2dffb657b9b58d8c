//! What noted conflicts would have come to under another policy, over HTTP.

use axum::extract::State;
use domicile_query::QueryError;
use domicile_sync::{Replay, Replayed};
use domicile_types::RegionId;
use serde::Deserialize;
use serde_json::json as json_value;

use super::faces;
use crate::body::Parameters;
use crate::problems::Refusal;
use crate::serve::{Handled, Shared, json};

/// What follows the `?` of [`replay`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    dataset: String,
    /// The row policy; the dataset's own by default.
    policy: Option<String>,
    /// Regions, the first first, separated by commas.
    origins: Option<String>,
    /// Only this row.
    key: Option<String>,
}

/// `GET /v1/sync/conflicts/replay`
pub(crate) async fn replay(State(edge): Shared, Parameters(wanted): Parameters<Wanted>) -> Handled {
    let catalog = edge.region.catalog();
    let spec = catalog.spec(&wanted.dataset)?;
    let name = &spec.dataset.name;
    let replication = edge.replication();
    let set = replication.sets.values().find(|part| part.set.datasets.contains(name));
    let (Some(part), Some(policy)) = (set, replication.applier.policy(name)) else {
        return Err(Refusal::bad_request(format!("`{name}` is in no replication set, so it has no conflicts")));
    };
    let origins = wanted.origins.iter().flat_map(|origins| origins.split(','));
    let origin = |origin: &str| origin.trim().parse::<RegionId>();
    let origins = origins.map(origin).collect::<Result<_, _>>().map_err(|e| Refusal::bad_request(e.to_string()))?;
    let replay = Replay::new(spec, policy, part.set.name.clone(), wanted.policy.as_deref(), origins);
    let replay = replay.map_err(|error| Refusal::bad_request(error.to_string()))?;
    let is_wanted = |key: &str| wanted.key.as_deref().is_none_or(|wanted| wanted == key);
    let mut listed = faces::listed(&edge).await?;
    listed.retain(|conflict| conflict.dataset == wanted.dataset && is_wanted(&conflict.key));
    let policy = replay.policy();
    let replayed = tokio::task::spawn_blocking(move || {
        listed.iter().map(|conflict| replay.of(conflict)).collect::<Result<Vec<Replayed>, _>>()
    });
    let failed = |error: String| QueryError::Execution(error);
    let replayed = replayed.await.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    let differ = replayed.iter().filter(|replayed| replayed.differs).count();
    Ok(json(&json_value!({
        "region": edge.region.id().as_str(),
        "dataset": wanted.dataset,
        "policy": policy,
        "compared": replayed.len(),
        "differ": differ,
        "conflicts": replayed,
    })))
}
