//! Datasets and their partitions: what there is.

use axum::Extension;
use axum::extract::{Path, State};
use domicile_query::Client;
use domicile_store::{DatasetSpec, PartitionSummary};
use domicile_types::Residency;
use domicile_wire::api::PartitionEntry;
use domicile_wire::token::Role;
use serde_json::{Value, json as json_value};

use crate::serve::{Handled, Shared, json};

/// `GET /v1/datasets`: what can be asked about; with counts of what lies here for operators who stand here.
pub(crate) async fn list(State(edge): Shared, Extension(client): Extension<Client>) -> Handled {
    let counts = client.stands_at(edge.region.id()) && client.check_role(Role::Operate).is_ok();
    let snapshot = edge.region.store().snapshot();
    let describe = |spec: &DatasetSpec| {
        let name = &spec.dataset.name;
        let columns: Vec<Value> = spec.dataset.columns.iter().map(|column| json_value!(column.name)).collect();
        let mut described = json_value!({
            "name": name.as_str(),
            "residency": residency(&spec.residency),
            "columns": columns,
        });
        if counts {
            described["row_versions"] = json_value!(snapshot.rows(name));
            described["segments"] = json_value!(snapshot.segments_len(name));
            described["bytes"] = json_value!(snapshot.bytes(name));
        }
        described
    };
    let datasets: Vec<Value> = edge.region.catalog().specs().map(describe).collect();
    Ok(json(&json_value!({"region": edge.region.id().as_str(), "version": snapshot.version, "datasets": datasets})))
}

/// `GET /v1/datasets/{dataset}/partitions`
pub(crate) async fn partitions(State(edge): Shared, Path(dataset): Path<String>) -> Handled {
    let catalog = edge.region.catalog();
    let name = &catalog.spec(&dataset)?.dataset.name;
    let partitions = edge.region.store().partitions(name).map_err(domicile_query::QueryError::from)?;
    let partitions: Vec<PartitionEntry> = partitions.into_iter().map(entry).collect();
    let region = edge.region.id().as_str();
    Ok(json(&json_value!({"region": region, "dataset": dataset, "partitions": partitions})))
}

fn entry(partition: PartitionSummary) -> PartitionEntry {
    let PartitionSummary { name, row_versions, bytes, segments, cold } = partition;
    PartitionEntry { name, row_versions, bytes, segments, cold }
}

fn residency(residency: &Residency) -> String {
    match residency {
        Residency::Reference => "reference".to_owned(),
        Residency::Column { column, .. } => format!("by {column}"),
        Residency::Follows { dataset, column } => format!("follows {dataset} on {column}"),
    }
}
