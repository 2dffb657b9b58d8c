//! Datasets: what there is.

use axum::extract::State;
use domicile_store::DatasetSpec;
use domicile_types::Residency;
use serde_json::{Value, json as json_value};

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
            "segments": snapshot.segments_len(name),
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
