//! What a batch with an idempotency key is known again by: the digest of its body, taken while that is read.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use domicile_types::{Digest, limits};

use crate::hash::Hashing;
use crate::{Batch, Operation, Source, StoreError};

/// A stream and the digest of what was read of it. Two hold it: whoever reads, and whoever asks for the digest.
#[derive(Clone)]
pub(crate) struct Digesting(Arc<Mutex<(Box<dyn Read + Send>, Hashing)>>);

impl Digesting {
    fn new(stream: Box<dyn Read + Send>, operation: Operation) -> Self {
        let mut digest = Hashing::default();
        digest.update(match operation {
            Operation::Upsert => b"upsert\n",
            Operation::Delete => b"delete\n",
        });
        Self(Arc::new(Mutex::new((stream, digest))))
    }

    /// The digest of the whole stream, whose rest is read for it.
    pub(crate) fn finish(mut self) -> Result<Digest, StoreError> {
        io::copy(&mut self, &mut io::sink()).map_err(|source| StoreError::Source { source })?;
        // The digest is whole after every step, so a poisoned lock is still good.
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone().finish())
    }
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, digest) = &mut *held;
        let read = stream.read(buffer)?;
        digest.update(&buffer[..read]);
        Ok(read)
    }
}

/// The source, and where the batch has a key the digest of what is to be done and of what the source gives.
pub(crate) fn digested(source: Source, batch: &Batch) -> Result<(Source, Option<Digesting>), StoreError> {
    let Some(key) = &batch.idempotency_key else { return Ok((source, None)) };
    if key.len() > limits::IDEMPOTENCY_KEY_BYTES_MAX {
        let (actual, max) = (key.len() as u64, limits::IDEMPOTENCY_KEY_BYTES_MAX as u64);
        return Err(StoreError::TooLarge { unit: "bytes of idempotency key", actual, max });
    }
    match source {
        Source::Stream(stream) => {
            let digest = Digesting::new(stream, batch.operation);
            Ok((Source::Stream(Box::new(digest.clone())), Some(digest)))
        }
        Source::File(path) => {
            let file = std::fs::File::open(&path).map_err(StoreError::io("open", &path))?;
            Ok((Source::File(path), Some(Digesting::new(Box::new(file), batch.operation))))
        }
    }
}
