//! Whether the store takes writes, and what it cannot read.

use std::sync::Arc;

use crate::StoreError;

/// How a store is.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Why the last write was not done, though the next may be: the disk is full, say.
    pub(crate) hindered: Option<Arc<StoreError>>,
    /// Why no write will be done until the store is opened again.
    pub(crate) refused: Option<Arc<StoreError>>,
    /// What cannot be read.
    pub(crate) damage: Vec<Arc<StoreError>>,
}

impl Health {
    /// Why the store does not do all that it should; none where it does.
    pub fn problem(&self) -> Option<Arc<StoreError>> {
        self.refused.iter().chain(&self.hindered).chain(&self.damage).next().cloned()
    }

    /// Whether the last write was done.
    pub fn is_writable(&self) -> bool {
        self.refused.is_none() && self.hindered.is_none()
    }

    /// What cannot be read, with file and offset.
    pub fn damage(&self) -> &[Arc<StoreError>] {
        &self.damage
    }

    /// The error for whoever wants to write, where that has no chance.
    pub(crate) fn refusal(&self) -> Option<StoreError> {
        self.refused.clone().map(|source| StoreError::ReadOnly { source })
    }
}
