//! Starting from a snapshot: what one region gives of a replication set, and another begins with.
//!
//! An [`Offer`] pins what a store has of a set at one version, as files: the segments of its datasets, and the entries
//! that are not stable yet, which settle what was written at the same time. A [`Staging`] gathers them, each named by its
//! content, so that what is whole is not fetched again. [`Store::start_from`](crate::Store::start_from) makes all of it count
//! by one edit of the manifest, under a new epoch. What the region has beyond it is set aside.

mod install;
mod kept;
mod list;
mod offer;
mod problem;
mod quarantine;
mod related;
mod staging;

use domicile_types::DatasetName;

pub use list::OfferList;
pub use offer::{Offer, OfferJob};
pub use problem::BootstrapProblem;
pub use quarantine::Quarantined;
pub use staging::{Staging, Want};

/// A dataset that is not in the set and has rows about datasets that are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsAbout {
    /// The dataset, which has a primary key.
    pub dataset: DatasetName,
    /// Its text column that names the dataset which a row is about.
    pub column: String,
}

/// Removes what offers of a process that is gone left behind.
pub(crate) fn clear(parts: &crate::StoreParts) -> Result<(), crate::StoreError> {
    let dir = parts.dir.join(offer::DIR);
    let files = match parts.disk.list(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        files => files.map_err(crate::StoreError::io("list", &dir))?,
    };
    files.iter().for_each(|file| crate::disk::discard(parts.disk.as_ref(), file));
    Ok(())
}
