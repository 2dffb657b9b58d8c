//! Where the rows of a set are kept: in the region's own store, or in that of the copies of what lives elsewhere.

use std::sync::Arc;

use domicile_query::{HomeCopy, QueryError, Region};
use domicile_store::{Store, StoreReader};
use domicile_types::{RegionId, ReplicationSet, SetName};
use tokio::sync::watch;

/// The rows of one set.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    region: Arc<Region>,
    /// Where they live, where that is elsewhere.
    home: Option<RegionId>,
}

impl Rows {
    /// The rows of `set` in `region`; none where it has no place for them.
    pub(super) fn of(region: &Arc<Region>, set: &ReplicationSet) -> Option<Self> {
        let home = set.copied_from(region.id()).cloned();
        let has_place = home.as_ref().is_none_or(|home| region.copy_of(home).is_some());
        has_place.then(|| Self { region: Arc::clone(region), home })
    }

    fn copy(&self) -> Option<&HomeCopy> {
        self.home.as_ref().and_then(|home| self.region.copy_of(home))
    }

    pub(super) async fn with_store<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> R + Send + 'static,
    ) -> Result<R, QueryError> {
        match self.copy() {
            Some(copy) => copy.with_store(job).await,
            None => self.region.with_store(job).await,
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.copy().map_or_else(|| self.region.changes(), HomeCopy::changes)
    }

    pub(super) fn reader(&self) -> &StoreReader {
        self.copy().map_or_else(|| self.region.store(), HomeCopy::store)
    }

    /// Takes note of the moment that copies of a set are of.
    pub(super) fn note_as_of(&self, set: &SetName, unix_ms: Option<u64>) {
        if let (Some(copy), Some(unix_ms)) = (self.copy(), unix_ms) {
            copy.note_as_of(set, unix_ms);
        }
    }

    /// The moment that the copies of a set are of, in Unix milliseconds.
    pub(super) fn as_of_ms(&self, set: &SetName) -> Option<u64> {
        self.copy().and_then(|copy| copy.as_of_ms(set))
    }
}
