//! What readers see: the segments of every dataset at one version.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::datatypes::SchemaRef;
use domicile_types::DatasetName;

use crate::catalog::Catalog;
use crate::{DatasetSpec, Segment, StoreError};

/// The segments of every dataset at one version. It stays as it is while the store goes on.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Commits so far; 0 for a store that nothing was loaded into.
    pub version: u64,
    datasets: BTreeMap<DatasetName, Vec<Arc<Segment>>>,
}

impl Snapshot {
    pub(crate) fn new(version: u64, datasets: BTreeMap<DatasetName, Vec<Arc<Segment>>>) -> Self {
        Self { version, datasets }
    }

    /// The next version, with more segments of one dataset.
    pub(crate) fn with(&self, dataset: &DatasetName, segments: Vec<Segment>) -> Self {
        let mut next = Self { version: self.version + 1, datasets: self.datasets.clone() };
        next.datasets.entry(dataset.clone()).or_default().extend(segments.into_iter().map(Arc::new));
        next
    }

    /// The segments of a dataset, in the order of their loads; empty where there is no such dataset.
    pub fn segments(&self, dataset: &DatasetName) -> &[Arc<Segment>] {
        self.datasets.get(dataset).map_or(&[], Vec::as_slice)
    }

    /// Rows of a dataset.
    pub fn rows(&self, dataset: &DatasetName) -> u64 {
        self.segments(dataset).iter().map(|segment| segment.rows).sum()
    }

    /// Bytes that a dataset's segments take on disk.
    pub fn bytes(&self, dataset: &DatasetName) -> u64 {
        self.segments(dataset).iter().map(|segment| segment.bytes).sum()
    }
}

/// Reads a store while its owner loads into it. Cheap to clone.
#[derive(Clone)]
pub struct StoreReader {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) current: Arc<ArcSwap<Snapshot>>,
}

impl fmt::Debug for StoreReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreReader").field("version", &self.snapshot().version).finish_non_exhaustive()
    }
}

impl StoreReader {
    /// The state after the last commit.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// All datasets, as given when the store was opened.
    pub fn specs(&self) -> &[DatasetSpec] {
        self.catalog.specs()
    }

    /// The declared columns of a dataset.
    ///
    /// # Errors
    /// Where there is no such dataset; the error names the nearest one.
    pub fn schema(&self, dataset: &DatasetName) -> Result<SchemaRef, StoreError> {
        Ok(Arc::clone(&self.catalog.entry(dataset)?.schema))
    }

    /// The columns of a dataset's segments: the declared ones and, where rows have a home, the entity last.
    ///
    /// # Errors
    /// Where there is no such dataset; the error names the nearest one.
    pub fn stored_schema(&self, dataset: &DatasetName) -> Result<SchemaRef, StoreError> {
        Ok(Arc::clone(&self.catalog.entry(dataset)?.stored))
    }
}
