//! A body as it comes, read by code that waits: the bridge between a connection and the store's reader.
//!
//! Few chunks are between the two at any time, so a sender that is faster than the store is held back.

use std::io::{self, Read};

use axum::body::{Body, Bytes};
use domicile_types::limits::{BODY_SILENCE_MAX, DISCARDED_BYTES_MAX};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::body;
use crate::problems::Refusal;

/// Chunks that wait for the reader.
const CHUNKS: usize = 8;

enum Part {
    Chunk(Bytes),
    /// The body is whole. Where the channel closes without this, it broke off.
    End,
}

/// The end that the body goes into.
pub(crate) struct BodySender(mpsc::Sender<Part>);

/// The end that the body comes out of. Reading waits, so it is for threads that may.
pub(crate) struct BodyReader {
    parts: mpsc::Receiver<Part>,
    chunk: Bytes,
    ended: bool,
}

pub(crate) fn channel() -> (BodySender, BodyReader) {
    let (sender, parts) = mpsc::channel(CHUNKS);
    (BodySender(sender), BodyReader { parts, chunk: Bytes::new(), ended: false })
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.parts.blocking_recv() {
                Some(Part::Chunk(chunk)) => self.chunk = chunk,
                Some(Part::End) => self.ended = true,
                None => {
                    tracing::info!("a body broke off, and nothing of it is stored");
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the body broke off"));
                }
            }
        }
        let length = self.chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}

/// Passes the body on, at most `limit` bytes. Ends well where the reader wants no more: then it is the reader who knows
/// why.
///
/// # Errors
/// Where the body is larger, pauses for too long, or breaks off. The reader then gets an error as well.
pub(crate) async fn pump(body: Body, sender: BodySender, limit: u64) -> Result<(), Refusal> {
    body::refuse_declared(&body, limit)?;
    let mut stream = body.into_data_stream();
    let (mut taken, mut discarded) = (0_u64, 0_u64);
    loop {
        let next = tokio::time::timeout(BODY_SILENCE_MAX, stream.next());
        let silent = |_| Refusal::bad_request(format!("nothing of the body came for {} s", BODY_SILENCE_MAX.as_secs()));
        let Some(chunk) = next.await.map_err(silent)? else { break };
        let chunk = chunk.map_err(|e| Refusal::bad_request(format!("the body did not arrive whole: {e}")))?;
        let length = chunk.len() as u64;
        taken += length;
        if taken > limit {
            return Err(Refusal::too_large(limit));
        }
        // Whoever is cut off while sending may not see the answer that says why, so some more is taken and dropped.
        if sender.0.send(Part::Chunk(chunk)).await.is_err() {
            discarded += length;
            if discarded > DISCARDED_BYTES_MAX {
                return Ok(());
            }
        }
    }
    // A reader that is gone has refused the body.
    let _ = sender.0.send(Part::End).await;
    Ok(())
}
