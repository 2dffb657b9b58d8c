//! Plugins: what is deployed, deploying more, and which versions answer.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use domicile_query::{Deployment, PluginSet, ReleaseChange, change_release, deploy as deploy_everywhere, remove};
use domicile_types::PluginName;
use domicile_types::limits::{BODY_BYTES_MAX, PLUGIN_BYTES_MAX};
use domicile_wire::Problem;
use domicile_wire::api::header;
use domicile_wire::content_digest::{check_content_digest, content_digest};
use domicile_wire::plugins::{CanaryBody, PluginVersion, PromoteBody, ReleaseAnswer, ShadowBody};
use domicile_wire::signature::Envelope;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json as json_value};

use crate::body::{self, Parameters};
use crate::problems::Refusal;
use crate::serve::{Edge, Handled, Shared, json};

/// A version, with its part in the release.
fn shown(plugins: &PluginSet, version: &PluginVersion) -> Value {
    let role = plugins.role(version);
    let mut shown = serde_json::to_value(version).unwrap_or_default();
    shown["role"] = json_value!(role);
    shown
}

/// `GET /v1/plugins`
pub(crate) async fn list(State(edge): Shared) -> Handled {
    let plugins = edge.region.plugins();
    let versions: Vec<Value> = plugins.versions().map(|version| shown(&plugins, version)).collect();
    Ok(json(&json_value!({
        "region": edge.region.id().as_str(), "plugins": versions,
        "releases": plugins.releases(), "refused": plugins.refused(),
    })))
}

/// `GET /v1/plugins/{name}`
pub(crate) async fn show(State(edge): Shared, Path(name): Path<String>) -> Handled {
    let plugins = edge.region.plugins();
    let release = plugins.release(&name)?;
    let versions = plugins.versions().filter(|version| version.name == name);
    let versions: Vec<Value> = versions.map(|version| shown(&plugins, version)).collect();
    let refused: Vec<_> = plugins.refused().iter().filter(|refused| refused.name == name).collect();
    Ok(json(&json_value!({
        "region": edge.region.id().as_str(), "name": name, "release": release, "versions": versions,
        "refused": refused,
    })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployParameters {
    /// Whether the version is to answer at once.
    #[serde(default)]
    promote: bool,
}

/// `PUT /v1/plugins/{name}/versions/{version}`
pub(crate) async fn deploy(
    State(edge): Shared,
    Path((name, version)): Path<(String, String)>,
    Parameters(DeployParameters { promote }): Parameters<DeployParameters>,
    headers: HeaderMap,
    body: Body,
) -> Handled {
    let name: PluginName = name.parse().map_err(|e| Refusal::bad_request(format!("{e}")))?;
    let envelope = body::header(&headers, header::SIGNATURE)?.map(Envelope::from_header).transpose();
    let envelope = envelope.map_err(|e| Refusal::bad_request(format!("`Domicile-Signature`: {e}")))?;
    let wasm = edge.whole(body, PLUGIN_BYTES_MAX).await?;
    if let Some(digest) = content_digest_of(&headers)? {
        check_content_digest(&digest, &wasm).map_err(|error| {
            Refusal::new(Problem::new(
                400,
                "digest-mismatch",
                "The body is not what its digest says",
                error.to_string(),
            ))
        })?;
    }
    let deployment = Deployment { name, version, wasm, envelope, promote };
    let answer = deploy_everywhere(&edge.region, deployment).await?;
    let plugin = &answer.plugin;
    tracing::info!(
        plugin = plugin.name,
        version = plugin.version,
        sha256 = plugin.sha256,
        signed_by = plugin.signed_by,
        active = answer.active,
        "deployed"
    );
    Ok(digested(&answer))
}

/// A list that may come in several headers.
fn content_digest_of(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let values = headers.get_all(header::CONTENT_DIGEST).iter().map(|value| value.to_str());
    let values: Vec<&str> =
        values.collect::<Result<_, _>>().map_err(|_| Refusal::bad_request("`Content-Digest` is not plain text"))?;
    Ok((!values.is_empty()).then(|| values.join(",")))
}

/// A JSON answer with its own digest.
fn digested(value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let digest = HeaderValue::from_str(&content_digest(&body));
    let mut response = json(value);
    if let Ok(digest) = digest {
        response.headers_mut().insert(HeaderName::from_static(header::CONTENT_DIGEST), digest);
    }
    *response.body_mut() = Body::from(body);
    response
}

/// `DELETE /v1/plugins/{name}/versions/{version}`
pub(crate) async fn delete(State(edge): Shared, Path((name, version)): Path<(String, String)>) -> Handled {
    let answer = remove(&edge.region, &name, &version).await?;
    tracing::info!(plugin = name, version, "plugin version deleted");
    Ok(json(&answer))
}

/// `POST /v1/plugins/{name}/promote`
pub(crate) async fn promote(State(edge): Shared, Path(name): Path<String>, body: Body) -> Handled {
    let PromoteBody { version } = read(&edge, body, "{\"version\": \"1.1.0\"}").await?;
    change(&edge, &name, ReleaseChange::Promote { version }).await
}

/// `POST /v1/plugins/{name}/rollback`
pub(crate) async fn rollback(State(edge): Shared, Path(name): Path<String>) -> Handled {
    change(&edge, &name, ReleaseChange::Rollback).await
}

/// `POST /v1/plugins/{name}/canary`
pub(crate) async fn canary(State(edge): Shared, Path(name): Path<String>, body: Body) -> Handled {
    const FORM: &str = "{\"version\": \"1.1.0\", \"percent\": 10}, or {\"version\": null} to end a canary";
    let canary = match read(&edge, body, FORM).await? {
        CanaryBody { version: None, percent: None } => None,
        CanaryBody { version: Some(version), percent: Some(percent) } => Some((version, percent)),
        _ => return Err(Refusal::bad_request(format!("a canary has a version and a share: {FORM}"))),
    };
    change(&edge, &name, ReleaseChange::Canary(canary)).await
}

/// `POST /v1/plugins/{name}/shadow`
pub(crate) async fn shadow(State(edge): Shared, Path(name): Path<String>, body: Body) -> Handled {
    const FORM: &str = "{\"version\": \"1.1.0\"}, or {\"version\": null} to end a shadow";
    let ShadowBody { version } = read(&edge, body, FORM).await?;
    change(&edge, &name, ReleaseChange::Shadow(version)).await
}

/// `GET /v1/plugins/{name}/shadow`
pub(crate) async fn shadow_report(State(edge): Shared, Path(name): Path<String>) -> Handled {
    Ok(json(&edge.region.shadow_report(&name)?))
}

async fn read<T: DeserializeOwned>(edge: &Edge, body: Body, form: &str) -> Result<T, Refusal> {
    let body = edge.whole(body, BODY_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|e| Refusal::bad_request(format!("the body is not {form}: {e}")))
}

async fn change(edge: &Edge, name: &str, change: ReleaseChange) -> Handled {
    let answer: ReleaseAnswer = change_release(&edge.region, name, change).await?;
    let release = &answer.release;
    tracing::info!(
        plugin = name,
        active = release.active.version,
        canary = release.canary.as_ref().map(|canary| format!("{} {}%", canary.version, canary.percent)),
        shadow = release.shadow.as_ref().map(|shadow| shadow.version.as_str()),
        revision = release.revision,
        "release changed"
    );
    Ok(json(&answer))
}
