//! Datasets: what there is, and loading more.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use domicile_store::{DatasetSpec, FileFormat};
use domicile_types::Residency;
use domicile_wire::api::LoadAnswer;
use serde_json::{Value, json as json_value};

use crate::body::{self, disk};
use crate::problems::Refusal;
use crate::serve::{Handled, Shared, json};

/// `GET /v1/datasets`
pub(crate) async fn list(State(edge): Shared) -> Handled {
    let snapshot = edge.region.store().snapshot();
    let describe = |spec: &DatasetSpec| {
        let name = &spec.dataset.name;
        let columns: Vec<Value> = spec.dataset.columns.iter().map(|column| json_value!(column.name)).collect();
        json_value!({
            "name": name.as_str(),
            "rows": snapshot.rows(name),
            "segments": snapshot.segments(name).len(),
            "bytes": snapshot.bytes(name),
            "residency": residency(&spec.residency),
            "columns": columns,
        })
    };
    let datasets: Vec<Value> = edge.region.catalog().specs().map(describe).collect();
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "version": snapshot.version, "datasets": datasets})))
}

fn residency(residency: &Residency) -> String {
    match residency {
        Residency::Reference => "reference".to_owned(),
        Residency::Column { column, .. } => format!("by {column}"),
        Residency::Follows { dataset, column } => format!("follows {dataset} on {column}"),
    }
}

/// `POST /v1/datasets/{dataset}/rows`
pub(crate) async fn load(State(edge): Shared, Path(dataset): Path<String>, headers: HeaderMap, body: Body) -> Handled {
    let spec = edge.region.catalog().spec(&dataset)?;
    let format = format(&headers)?;
    let spooled = tempfile::NamedTempFile::new_in(&edge.incoming).map_err(|e| disk(&e))?;
    let mut file = tokio::fs::File::from_std(spooled.reopen().map_err(|e| disk(&e))?);
    body::spool(body, &mut file, edge.load_bytes_max).await?;
    let name = spec.dataset.name.clone();
    let report = edge.region.load(name, spooled.path().to_owned(), format).await?;
    tracing::info!(dataset, rows = report.rows, version = report.version, already = report.already_loaded, "loaded");
    let (rows, bytes, version, already_loaded) = (report.rows, report.bytes, report.version, report.already_loaded);
    Ok(json(&LoadAnswer { dataset, rows, bytes, version, already_loaded }))
}

fn format(headers: &HeaderMap) -> Result<FileFormat, Refusal> {
    let kind = body::header(headers, CONTENT_TYPE.as_str())?.unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" => Ok(FileFormat::Csv),
        "application/vnd.apache.parquet" => Ok(FileFormat::Parquet),
        other => Err(body::unsupported("a file of rows", "text/csv or application/vnd.apache.parquet", other)),
    }
}
