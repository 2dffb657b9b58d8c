//! A network that delays, reorders, repeats and cuts, in one direction or both.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use domicile_store::Entry;
use domicile_sync::{Answer, News, Pull, SnapshotAnswer, SnapshotAsk};

use crate::rng::Rng;

/// What travels. Entries travel as bytes.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Question { number: u64, pull: Pull },
    Answer { number: u64, answer: Packed },
    Ask { number: u64, ask: SnapshotAsk },
    Told { number: u64, answer: SnapshotAnswer },
}

/// An answer as it travels.
#[derive(Debug, Clone)]
pub(crate) enum Packed {
    Entries { bytes: Bytes, more: bool, news: News },
    Other(Answer),
}

impl Packed {
    pub(crate) fn pack(answer: Answer) -> Self {
        match answer {
            Answer::Entries { entries, more, news } => {
                let mut bytes = Vec::new();
                entries.iter().for_each(|entry| entry.encode(&mut bytes).unwrap());
                Self::Entries { bytes: bytes.into(), more, news }
            }
            other => Self::Other(other),
        }
    }

    pub(crate) fn unpack(self) -> Answer {
        let (mut bytes, more, news) = match self {
            Self::Other(answer) => return answer,
            Self::Entries { bytes, more, news } => (bytes, more, news),
        };
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            let (entry, rest) = Entry::decode(&bytes).unwrap();
            entries.push(entry);
            bytes = rest;
        }
        Answer::Entries { entries, more, news }
    }
}

/// A message that is due.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: Message,
}

#[derive(Debug)]
pub(crate) struct Net {
    rng: Rng,
    /// By the moment at which they are due, and their number.
    under_way: BTreeMap<(u64, u64), Delivery>,
    next: u64,
    /// Directions in which nothing passes.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    delay_ms: u64,
}

impl Net {
    pub(crate) fn new(mut rng: Rng) -> Self {
        let delay_ms = *rng.pick(&[1, 20, 80, 150, 700]);
        Self { rng, under_way: BTreeMap::new(), next: 0, cut: BTreeSet::new(), delay_ms }
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, message: Message, now_ms: u64) {
        if self.cut.contains(&(from, to)) || self.rng.chance(1) {
            return;
        }
        let copies = if self.rng.chance(3) { 2 } else { 1 };
        for _ in 0..copies {
            let jitter_ms = self.rng.below(self.delay_ms + 1);
            let late_ms = if self.rng.chance(2) { self.rng.below(3_000) } else { 0 };
            self.next += 1;
            let message = self.garbled(message.clone());
            let due = (now_ms + self.delay_ms + jitter_ms + late_ms, self.next);
            self.under_way.insert(due, Delivery { from, to, message });
        }
    }

    /// A file of a snapshot may come damaged: nothing below says that it is as it was sent.
    fn garbled(&mut self, message: Message) -> Message {
        match message {
            Message::Told { number, answer: SnapshotAnswer::Part(bytes) } if self.rng.chance(2) => {
                let (mut bytes, at) = (bytes.to_vec(), self.rng.index(bytes.len()));
                bytes[at] ^= 1;
                Message::Told { number, answer: SnapshotAnswer::Part(bytes.into()) }
            }
            other => other,
        }
    }

    /// When the next message is due.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.under_way.keys().next().map(|(due_ms, _)| *due_ms)
    }

    /// The next message that is due by now and not cut off.
    pub(crate) fn receive(&mut self, now_ms: u64) -> Option<Delivery> {
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let delivery = entry.remove();
            if !self.cut.contains(&(delivery.from, delivery.to)) {
                return Some(delivery);
            }
        }
        None
    }
}
