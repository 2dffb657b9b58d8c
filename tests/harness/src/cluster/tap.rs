//! Counts the bodies that pass a link: the wire as a meter at the border sees it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use super::http2::{Frames, Said};
use super::link::Observe;

/// What one region asked another, and how much came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The region that asked.
    pub asking: String,
    /// The region that was asked.
    pub asked: String,
    /// The body of the question.
    pub question: Vec<u8>,
    /// Whether the answer has status 200.
    pub is_ok: bool,
    /// Bytes of the answer's body.
    pub answer_bytes: u64,
}

/// Reads what passes between two regions.
#[derive(Debug)]
pub(super) struct Tap {
    way: Exchange,
    seen: Mutex<Seen>,
}

/// The exchanges by connection and stream, and where each way of each connection is.
#[derive(Debug, Default)]
struct Seen {
    exchanges: BTreeMap<(u64, u32), Exchange>,
    frames: BTreeMap<(u64, bool), Frames>,
    unreadable: usize,
}

impl Tap {
    pub(super) fn new(asking: &str, asked: &str) -> Self {
        let way = Exchange { asking: asking.to_owned(), asked: asked.to_owned(), ..Exchange::default() };
        Self { way, seen: Mutex::default() }
    }

    /// What has passed so far.
    ///
    /// # Errors
    /// Where something passed that is no HTTP/2.
    pub(super) fn exchanges(&self) -> Result<Vec<Exchange>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(seen.unreadable == 0, "{} times, what passed was no HTTP/2", seen.unreadable);
        Ok(seen.exchanges.values().cloned().collect())
    }
}

impl Observe for Tap {
    fn passed(&self, connection: u64, is_answer: bool, bytes: &[u8]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || if is_answer { Frames::default() } else { Frames::of_client() };
        match seen.frames.entry((connection, is_answer)).or_insert_with(begin).take_in(bytes) {
            Some(said) => said.into_iter().for_each(|said| seen.note(connection, &self.way, is_answer, said)),
            None => seen.unreadable += 1,
        }
    }
}

impl Seen {
    fn note(&mut self, connection: u64, way: &Exchange, is_answer: bool, said: Said) {
        let (Said::Headers { stream, .. } | Said::Data { stream, .. }) = said;
        let exchange = self.exchanges.entry((connection, stream)).or_insert_with(|| way.clone());
        match said {
            // Trailers would say nothing of the status.
            Said::Headers { is_ok, .. } if is_answer => exchange.is_ok |= is_ok,
            Said::Headers { .. } => {}
            Said::Data { body, .. } if is_answer => exchange.answer_bytes += body.len() as u64,
            Said::Data { body, .. } => exchange.question.extend(body),
        }
    }
}
