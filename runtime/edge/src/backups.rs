//! Backups: asking for one, and what there is.

use std::path::Path;

use axum::body::Body;
use axum::extract::State;
use domicile_config::StorageUrl;
use domicile_query::QueryError;
use domicile_store::{BackupSummary, Selection};
use domicile_types::limits::BODY_BYTES_MAX;
use domicile_wire::Problem;
use domicile_wire::api::{BackupAnswer, BackupBody, BackupEntry};
use serde::Deserialize;
use serde_json::json as json_value;

use crate::body::Parameters;
use crate::problems::Refusal;
use crate::serve::{Edge, Handled, Shared, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    #[serde(default)]
    at: String,
}

/// `POST /v1/backups`
pub(crate) async fn make(State(edge): Shared, body: Body) -> Handled {
    let body = edge.whole(body, BODY_BYTES_MAX).await?;
    let body: BackupBody = serde_json::from_slice(&body).map_err(|e| {
        Refusal::bad_request(format!("the body is not an object with `to`, and maybe `dataset` and `partition`: {e}"))
    })?;
    let at = allowed(&edge, "to", &body.to)?;
    let dataset =
        body.dataset.map(|dataset| Ok::<_, QueryError>(edge.region.catalog().spec(&dataset)?.dataset.name.clone()));
    let selection = match (dataset.transpose()?, body.partition) {
        (None, None) => Selection::All,
        (Some(dataset), None) => Selection::Dataset(dataset),
        (Some(dataset), Some(partition)) => Selection::Partition(dataset, partition),
        (None, Some(_)) => return Err(Refusal::bad_request("a partition is one of a dataset; name `dataset` too")),
    };
    let report = edge.region.back_up(at.as_str().to_owned(), selection).await?;
    Ok(json(&BackupAnswer {
        at: at.to_string(),
        name: report.name,
        version: report.version,
        segments: report.segments,
        row_versions: report.rows,
        bytes: report.bytes,
        copied_bytes: report.copied_bytes,
    }))
}

/// `GET /v1/backups?at=…`
pub(crate) async fn list(State(edge): Shared, Parameters(place): Parameters<Place>) -> Handled {
    let at = allowed(&edge, "at", &place.at)?;
    let backups = edge.region.backups(at.as_str().to_owned()).await?;
    let backups: Vec<BackupEntry> = backups.into_iter().map(entry).collect();
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "at": at.as_str(), "backups": backups})))
}

fn entry(backup: BackupSummary) -> BackupEntry {
    let partition = match &backup.selection {
        Selection::Partition(_, partition) => Some(partition.clone()),
        _ => None,
    };
    BackupEntry {
        name: backup.name,
        region: backup.region,
        created_ms: backup.created_ms,
        dataset: backup.selection.dataset().map(ToString::to_string),
        partition,
        version: backup.version,
        segments: backup.segments,
        row_versions: backup.rows,
        bytes: backup.bytes,
    }
}

/// The place, where the region's file allows backups there: whoever may ask this edge is not to send rows elsewhere.
fn allowed(edge: &Edge, parameter: &str, url: &str) -> Result<StorageUrl, Refusal> {
    let refuse = |detail: String| {
        Refusal::new(Problem::new(403, "backup-place-denied", "Backups may not be at that place", detail))
    };
    let unfit = |why: String| {
        let advice = "write the address of a place, file:///folder or s3://bucket/prefix";
        Refusal::bad_request(format!("`{parameter}` {why}; {advice}"))
    };
    if url.is_empty() {
        return Err(unfit("is missing".to_owned()));
    }
    if !url.contains("://") {
        return Err(unfit(format!("is `{url}`, which is no address")));
    }
    let place = StorageUrl::parse(url, Path::new("/")).map_err(|e| Refusal::bad_request(e.to_string()))?;
    if edge.backup_urls.iter().any(|allowed| allowed.covers(&place)) {
        return Ok(place);
    }
    let detail = format!("`{place}` is not below one of this region's `backup_urls`; add it to [storage] in its file");
    Err(refuse(detail))
}
