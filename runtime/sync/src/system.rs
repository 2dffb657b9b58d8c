//! The datasets in which a region keeps what it knows of concurrent versions.
//!
//! They are kept as any other dataset is, so that they are as durable as the rows that they are about; they are this
//! region's own and never replicated.

use domicile_store::{DatasetSpec, RowsAbout};
use domicile_types::{Column, ColumnType, Dataset, DatasetError, NameError, Residency};

/// The dataset of all conflicts: one row for each set of versions that met.
pub const CONFLICTS: &str = "sync_conflicts";
/// The dataset of the versions that stand beside each other now: one row for each row that has some.
pub const SIBLINGS: &str = "sync_siblings";

/// Why the datasets cannot be described. It does not happen.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// A name was refused.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A description was refused.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// The descriptions of both datasets.
///
/// # Errors
/// Never, as their names and columns are fixed.
pub fn system_specs() -> Result<Vec<DatasetSpec>, SystemError> {
    Ok(vec![
        spec(
            CONFLICTS,
            &["dataset", "key", "versions"],
            &["replication_set", "rows", "winner", "policy", "reason"],
            &["detected_ms"],
        )?,
        spec(SIBLINGS, &["dataset", "key"], &["versions", "before"], &[])?,
    ])
}

/// What both have of other datasets, which travels with a snapshot of these.
///
/// # Errors
/// Never, as the names are fixed.
pub fn rows_about() -> Result<Vec<RowsAbout>, SystemError> {
    let about = |name: &str| Ok(RowsAbout { dataset: name.parse()?, column: "dataset".to_owned() });
    [CONFLICTS, SIBLINGS].map(about).into_iter().collect()
}

fn spec(name: &str, key: &[&str], texts: &[&str], integers: &[&str]) -> Result<DatasetSpec, SystemError> {
    let column = |kind: ColumnType| move |name: &&str| Column { name: (*name).to_owned(), kind, nullable: false };
    let columns = key.iter().chain(texts).map(column(ColumnType::Text));
    let columns = columns.chain(integers.iter().map(column(ColumnType::BigInt))).collect();
    let key = key.iter().map(|name| (*name).to_owned()).collect();
    Ok(DatasetSpec { dataset: Dataset::new(name.parse()?, columns, key)?, residency: Residency::Reference })
}
