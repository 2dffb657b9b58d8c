//! Plugins: what is deployed, and deploying more.

use axum::body::Body;
use axum::extract::{Path, State};
use domicile_query::deploy as deploy_everywhere;
use domicile_types::PluginName;
use domicile_types::limits::PLUGIN_BYTES_MAX;
use domicile_wire::api::PluginVersion;
use serde_json::json as json_value;

use crate::problems::Refusal;
use crate::serve::{Handled, Shared, json};

/// `GET /v1/plugins`
pub(crate) async fn list(State(edge): Shared) -> Handled {
    let plugins = edge.region.plugins();
    let versions: Vec<&PluginVersion> = plugins.versions().collect();
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "plugins": versions})))
}

/// `PUT /v1/plugins/{name}/versions/{version}`
pub(crate) async fn deploy(State(edge): Shared, Path((name, version)): Path<(String, String)>, body: Body) -> Handled {
    let name: PluginName = name.parse().map_err(|e| Refusal::bad_request(format!("{e}")))?;
    let wasm = edge.whole(body, PLUGIN_BYTES_MAX).await?;
    let answer = deploy_everywhere(&edge.region, name, version, wasm).await?;
    tracing::info!(
        plugin = answer.plugin.name,
        version = answer.plugin.version,
        sha256 = answer.plugin.sha256,
        "deployed"
    );
    Ok(json(&answer))
}
