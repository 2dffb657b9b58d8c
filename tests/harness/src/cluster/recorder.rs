//! Keeps what passes a link: the wire as an eavesdropper sees it.

use std::sync::{Mutex, PoisonError};

use super::link::Observe;

#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Vec<u8>>);

impl Recorder {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observe for Recorder {
    fn passed(&self, _: u64, _: bool, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }
}
