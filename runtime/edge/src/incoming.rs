//! A body as it comes, read by code that waits: the bridge between a connection and the store's reader.
//!
//! Few chunks are between the two at any time, so a sender that is faster than the store is held back.

use std::io::{self, Read};

use axum::body::Bytes;
use domicile_types::limits::{DISCARDED_BYTES_MAX, DISCARDED_SILENCE_MAX};
use tokio::sync::mpsc;

use crate::body::Arriving;
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

/// Passes the body on. Ends well where the reader wants no more: then it is the reader who knows why.
///
/// # Errors
/// Where the body is too large or too slow, or breaks off. The reader then gets an error as well.
pub(crate) async fn pump(mut body: Arriving, sender: BodySender) -> Result<(), Refusal> {
    tokio::select! {
        passed = pass(&mut body, &sender) => return passed,
        () = sender.0.closed() => {}
    }
    discard(&mut body).await;
    Ok(())
}

async fn pass(body: &mut Arriving, sender: &BodySender) -> Result<(), Refusal> {
    while let Some(chunk) = body.next().await? {
        if sender.0.send(Part::Chunk(chunk)).await.is_err() {
            discard(body).await;
            return Ok(());
        }
    }
    // A reader that is gone has refused the body.
    let _ = sender.0.send(Part::End).await;
    Ok(())
}

/// Whoever is cut off while sending may not see the answer that says why, so some more is taken and dropped.
async fn discard(body: &mut Arriving) {
    let mut discarded = 0;
    while discarded <= DISCARDED_BYTES_MAX
        && let Ok(Ok(Some(chunk))) = tokio::time::timeout(DISCARDED_SILENCE_MAX, body.next()).await
    {
        discarded += chunk.len() as u64;
    }
}
