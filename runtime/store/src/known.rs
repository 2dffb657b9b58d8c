//! Batches that are known again by their idempotency keys.

use std::collections::{HashMap, VecDeque};

use domicile_types::{DatasetName, limits};

use crate::manifest::Remembered;
use crate::wal::Idempotency;
use crate::{Ack, StoreError};

/// The batches that came with a key, the oldest forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Known {
    order: VecDeque<(String, String)>,
    batches: HashMap<(String, String), Remembered>,
}

impl Known {
    pub(crate) fn insert(&mut self, batch: Remembered) {
        let key = (batch.dataset.clone(), batch.idempotency.key.clone());
        if self.batches.insert(key.clone(), batch).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > limits::IDEMPOTENCY_KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.batches.remove(&oldest);
        }
    }

    /// Forgets the batches of a dataset.
    pub(crate) fn forget(&mut self, dataset: &DatasetName) {
        self.order.retain(|(of, _)| *of != dataset.as_str());
        self.batches.retain(|(of, _), _| *of != dataset.as_str());
    }

    /// The answer to a batch that came before; none where it did not.
    ///
    /// # Errors
    /// Where another batch came with its key.
    pub(crate) fn answer(
        &self,
        dataset: &DatasetName,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Ack>, StoreError> {
        let Some(wanted) = idempotency else { return Ok(None) };
        let Some(known) = self.batches.get(&(dataset.to_string(), wanted.key.clone())) else { return Ok(None) };
        if known.idempotency != *wanted {
            return Err(StoreError::KeyReused { key: wanted.key.clone() });
        }
        let (rows, bytes, version) = (known.rows, known.bytes, known.version);
        Ok(Some(Ack { rows, bytes, version, already_loaded: true }))
    }
}
