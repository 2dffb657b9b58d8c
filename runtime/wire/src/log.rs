//! Asking another region for entries of the logs of a replication set.
//!
//! The question is JSON. The answer is the length of its head, 32-bit little-endian, the head as JSON, and the entries as
//! the store encodes them, one after the other.

use bytes::Bytes;
use domicile_types::{Origin, Vector};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Path at which regions give each other entries.
pub const LOG_PATH: &str = "/v1/peer/log";

/// A vector: region, epoch and number of each log.
pub type Numbers = Vec<(String, u32, u64)>;

/// What is asked for, and what the asking region has for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullBody {
    /// The replication set.
    pub set: String,
    /// What the asking region has.
    pub have: Numbers,
    /// The epoch of the log that the asking region writes.
    pub epoch: u32,
    /// Whether an answer is wanted even where there is nothing to say.
    pub at_once: bool,
    /// The regions whose logs are wanted; all where none is named.
    pub regions: Vec<String>,
    /// By how many milliseconds the answering region's clock is too far ahead, as the asking one sees it.
    pub ahead_ms: u64,
    /// Bytes that the entries may have, unless one alone has more.
    pub bytes_max: u64,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullKind {
    /// Entries follow.
    Entries,
    /// What the asking region lacks is not kept any more.
    SnapshotRequired,
    /// The asking region may not have the set.
    NotPermitted,
    /// The log of the asking region has ended.
    Fenced,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullHead {
    /// What it is.
    pub kind: PullKind,
    /// Whether there are more entries.
    pub more: bool,
}

/// The numbers of a vector.
pub fn numbers(vector: &Vector) -> Numbers {
    vector.iter().map(|(origin, seq)| (origin.region.to_string(), origin.epoch, seq)).collect()
}

/// The vector of these numbers; none where a region has no name that one can have.
pub fn vector(numbers: &Numbers) -> Option<Vector> {
    let log = |(region, epoch, seq): &(String, u32, u64)| {
        Some((Origin { region: region.parse().ok()?, epoch: *epoch }, *seq))
    };
    numbers.iter().map(log).collect()
}

/// An answer as it travels: a head and what follows it; none where the head cannot be written.
pub fn encode_answer<H: Serialize>(head: &H, rest: &[u8]) -> Option<Vec<u8>> {
    let head = serde_json::to_vec(head).ok()?;
    let length = u32::try_from(head.len()).ok()?;
    Some([&length.to_le_bytes()[..], &head, rest].concat())
}

/// The head of an answer, and what follows it; none where it is no answer.
pub fn decode_answer<H: DeserializeOwned>(answer: &Bytes) -> Option<(H, Bytes)> {
    let length = u32::from_le_bytes(answer.get(..4)?.try_into().ok()?) as usize;
    let head = serde_json::from_slice(answer.get(4..4_usize.checked_add(length)?)?).ok()?;
    Some((head, answer.slice(4 + length..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_travel_and_nonsense_is_told() {
        let head = PullHead { kind: PullKind::Entries, more: true };
        let answer: Option<Bytes> = encode_answer(&head, b"rows").map(Bytes::from);
        assert_eq!(answer.as_ref().and_then(decode_answer::<PullHead>), Some((head, Bytes::from_static(b"rows"))));
        for cut in 0..24 {
            assert_eq!(
                answer.as_ref().and_then(|answer| decode_answer::<PullHead>(&answer.slice(..cut))),
                None,
                "{cut} bytes"
            );
        }
        assert_eq!(decode_answer::<PullHead>(&Bytes::from_static(b"\xff\xff\xff\xff{}")), None);
    }
}
