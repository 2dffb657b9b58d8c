//! Questions: SQL and endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use domicile_query::{Client, QueryError, QueryRequest, endpoint_request, explain_plan, explain_residency, run};
use domicile_types::limits::{BODY_BYTES_MAX, QUERY_TIMEOUT_MAX, STALENESS_S_MAX};
use domicile_types::{QueryId, RegionId};
use domicile_wire::api::{QueryBody, header};
use serde::Deserialize;
use serde_json::json as json_value;
use tracing::Instrument;
use uuid::Uuid;

use crate::answer::{Format, respond};
use crate::body::{self, Parameters};
use crate::media::media_type;
use crate::problems::{Refusal, problem};
use crate::serve::{Edge, Handled, Shared, json};
use crate::session;

/// `POST /v1/query`
pub(crate) async fn query(
    State(edge): Shared,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    body: Body,
) -> Handled {
    let request = asked(&edge, client, &headers, body).await?;
    answer(&edge, &headers, request).await
}

/// What an explanation is to say.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Residency,
    Plan,
}

/// What follows the `?` of a question to be explained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Explain {
    mode: Mode,
}

/// `POST /v1/query/explain`: what would cross which border, or the plans. Nothing is executed.
pub(crate) async fn explain(
    State(edge): Shared,
    Extension(client): Extension<Client>,
    Parameters(Explain { mode }): Parameters<Explain>,
    headers: HeaderMap,
    body: Body,
) -> Handled {
    let request = asked(&edge, client, &headers, body).await?;
    let format = Format::accepted(&headers)?;
    let id = request.id.clone();
    let of_query = |error: QueryError| Refusal::from(error).of_query(id.as_str());
    let span = tracing::info_span!("explain", query_id = %id, region = %edge.region.id());
    match mode {
        Mode::Plan => {
            let answer = explain_plan(&edge.region, request).instrument(span).await.map_err(of_query)?;
            respond(&answer, format).map_err(|refusal| refusal.of_query(id.as_str()))
        }
        Mode::Residency => {
            let proof = explain_residency(&edge.region, request).instrument(span).await.map_err(of_query)?;
            Ok(json(&proof.document(problem)))
        }
    }
}

/// The question of a request.
async fn asked(edge: &Edge, client: Client, headers: &HeaderMap, body: Body) -> Result<QueryRequest, Refusal> {
    let text = edge.whole(body, BODY_BYTES_MAX).await?;
    let text = std::str::from_utf8(&text).map_err(|_| Refusal::bad_request("the body is not UTF-8 text"))?;
    let mut request = request(edge, client, headers)?;
    if is_json(headers)? {
        let body = query_body(text)?;
        request.sql = body.sql;
        request.purpose = body.purpose.or(request.purpose);
    } else {
        request.sql = text.to_owned();
    }
    Ok(request)
}

/// Whether the body is a JSON object; otherwise it is SQL.
fn is_json(headers: &HeaderMap) -> Result<bool, Refusal> {
    match media_type(headers)?.as_deref() {
        Some("application/json") => Ok(true),
        Some("application/sql" | "text/plain") | None => Ok(false),
        Some(other) => Err(body::unsupported("a query", "application/json, application/sql or text/plain", other)),
    }
}

fn query_body(text: &str) -> Result<QueryBody, Refusal> {
    let refused = |e: String| Refusal::bad_request(format!("the body is not a query, an object with `sql`: {e}"));
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| refused(e.to_string()))?;
    if !value.is_object() {
        return Err(refused("it is JSON, but no object".to_owned()));
    }
    serde_json::from_value(value).map_err(|e| refused(e.to_string()))
}

/// `GET` and `POST /v1/endpoints/{name}`: parameters are in the address, or in the body as JSON.
pub(crate) async fn endpoint(
    State(edge): Shared,
    Extension(client): Extension<Client>,
    Path(name): Path<String>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Handled {
    let mut given = BTreeMap::new();
    let body = edge.whole(body, BODY_BYTES_MAX).await?;
    for (parameter, value) in parameters.into_iter().chain(parameters_in(&body)?) {
        if given.insert(parameter.clone(), value).is_some() {
            return Err(Refusal::bad_request(format!("parameter `{parameter}` is given twice")));
        }
    }
    let request = request(&edge, client, &headers)?;
    let id = request.id.clone();
    let request = endpoint_request(&edge.region, &name, given, request);
    answer(&edge, &headers, request.map_err(|e| Refusal::from(e).of_query(id.as_str()))?).await
}

/// The parameters that a body gives; an empty one gives none.
fn parameters_in(body: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let refused = |e: String| Refusal::bad_request(format!("the body is no JSON object of parameters: {e}"));
    let given: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|e| refused(e.to_string()))?;
    let text = |(name, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => Ok((name, text)),
        value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Ok((name, value.to_string())),
        _ => Err(refused(format!("`{name}` is no text, number or truth value"))),
    };
    given.into_iter().map(text).collect()
}

/// `GET /v1/queries/{id}/receipt`
pub(crate) async fn receipts(
    State(edge): Shared,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Handled {
    let receipts = edge.region.receipts(&client, &id)?;
    Ok(json(&json_value!({"query_id": id, "receipts": receipts})))
}

async fn answer(edge: &Arc<Edge>, headers: &HeaderMap, mut request: QueryRequest) -> Handled {
    let format = Format::accepted(headers)?;
    let id = request.id.clone();
    let session = session::brought(headers)?;
    let limit = request.timeout;
    let waited = session::await_applied(edge, &session, limit).await;
    request.timeout = limit.saturating_sub(waited.map_err(|refusal| refusal.of_query(id.as_str()))?);
    let span = tracing::info_span!("query", query_id = %id, region = %edge.region.id());
    let answer = run(&edge.region, request).instrument(span).await;
    let told = |error| match error {
        // What was waited for, and parts of the question, took of the same time.
        QueryError::TimedOut { .. } => QueryError::TimedOut { timeout_ms: limit.as_millis() },
        error => error,
    };
    let answer = answer.map_err(|error| Refusal::from(told(error)).of_query(id.as_str()))?;
    edge.metrics.answered(&answer.facts);
    let response = respond(&answer, format).map_err(|refusal| refusal.of_query(id.as_str()))?;
    Ok(session::with_session(edge, response, session, edge.replication().names()))
}

/// A request with everything but the question.
fn request(edge: &Edge, client: Client, headers: &HeaderMap) -> Result<QueryRequest, Refusal> {
    let id = format!("q{}", Uuid::now_v7().simple());
    let id: QueryId = id.parse().map_err(|_| Refusal::bad_request("no query id could be made"))?;
    Ok(QueryRequest {
        id,
        client,
        sql: String::new(),
        purpose: body::header(headers, header::PURPOSE)?.map(str::to_owned),
        scope: body::header(headers, header::DATA_REGION)?.map(scope).transpose()?,
        staleness_max: body::header(headers, header::MAX_STALENESS)?.map(staleness).transpose()?,
        partial: body::header(headers, header::REQUIRE_COVERAGE)?.map_or(Ok(false), coverage)?,
        timeout: body::header(headers, header::QUERY_TIMEOUT)?.map_or(Ok(edge.region.query_timeout()), timeout)?,
        parameters: None,
        query_plugin: None,
    })
}

fn scope(text: &str) -> Result<BTreeSet<RegionId>, Refusal> {
    let region = |name: &str| name.trim().parse().map_err(|e| Refusal::bad_request(format!("`Data-Region`: {e}")));
    text.split(',').map(region).collect()
}

fn coverage(text: &str) -> Result<bool, Refusal> {
    match text {
        "partial" => Ok(true),
        "full" => Ok(false),
        other => Err(Refusal::bad_request(format!("`Require-Coverage` is `full` or `partial`, not `{other}`"))),
    }
}

fn staleness(text: &str) -> Result<Duration, Refusal> {
    let refused = || {
        Refusal::bad_request(format!("`Max-Staleness` is 0 to {STALENESS_S_MAX} seconds, in whole ones, not `{text}`"))
    };
    let seconds = text.parse().ok().filter(|seconds| *seconds <= STALENESS_S_MAX).ok_or_else(refused)?;
    Ok(Duration::from_secs(seconds))
}

fn timeout(text: &str) -> Result<Duration, Refusal> {
    let limit_ms = QUERY_TIMEOUT_MAX.as_millis();
    let refused = || Refusal::bad_request(format!("`Query-Timeout` is 1 to {limit_ms} milliseconds, not `{text}`"));
    let timeout = Duration::from_millis(text.parse().map_err(|_| refused())?);
    if timeout.is_zero() || timeout > QUERY_TIMEOUT_MAX { Err(refused()) } else { Ok(timeout) }
}
