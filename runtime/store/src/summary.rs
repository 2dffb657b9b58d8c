//! What there is, without reading it: the partitions of a dataset.

use domicile_types::DatasetName;

use crate::{Partition, StoreError, StoreReader};

/// A partition, as people look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSummary {
    /// Its name, see [`PartitionKey::name`](crate::PartitionKey::name).
    pub name: String,
    /// Row versions, tombstones included: rows that were replaced or deleted count until compaction.
    pub row_versions: u64,
    /// Bytes of its segments, and of its recent rows in memory.
    pub bytes: u64,
    /// Its segments.
    pub segments: usize,
    /// Whether any of them is in cold storage.
    pub cold: bool,
}

impl Partition {
    /// Whether any of its segments is in cold storage.
    pub fn is_cold(&self) -> bool {
        self.segments.iter().any(|segment| segment.is_cold())
    }
}

impl StoreReader {
    /// The partitions of a dataset, damaged or not, in the order of their keys.
    ///
    /// # Errors
    /// Where there is no such dataset; the error names the nearest one.
    pub fn partitions(&self, dataset: &DatasetName) -> Result<Vec<PartitionSummary>, StoreError> {
        let partitioning = &self.catalog.entry(dataset)?.spec.dataset.partitioning;
        let summary = |partition: &Partition| PartitionSummary {
            name: partition.key.name(partitioning),
            row_versions: partition.rows(),
            bytes: partition.bytes(),
            segments: partition.segments.len(),
            cold: partition.is_cold(),
        };
        Ok(self.snapshot().held(dataset).map(|partition| summary(partition)).collect())
    }
}
