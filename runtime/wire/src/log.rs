//! Asking another region for entries of the logs of a replication set.
//!
//! The question is JSON. The answer is the length of its head, 32-bit little-endian, the head as JSON, and the entries as
//! the store encodes them, one after the other; packed as a whole where the question asks for that.

use bytes::Bytes;
use domicile_types::{Numbers, limits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Path at which regions give each other entries.
pub const LOG_PATH: &str = "/v1/peer/log";

/// What is asked for, and what the asking region has for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullBody {
    /// The replication set.
    pub set: String,
    /// What the asking region has.
    pub have: Numbers,
    /// What waits there as well.
    #[serde(default)]
    pub holds: Numbers,
    /// The epoch of the log that the asking region writes.
    #[serde(default)]
    pub epoch: u32,
    /// Whether an answer is wanted even where there is nothing to say.
    #[serde(default)]
    pub at_once: bool,
    /// The regions whose logs are wanted; all where none is named.
    pub regions: Vec<String>,
    /// By how many milliseconds the answering region's clock is too far ahead, as the asking one sees it.
    pub ahead_ms: u64,
    /// Bytes that the entries may have, unless one alone has more.
    pub bytes_max: u64,
    /// How far the asking region's own log goes beyond what it knows the answering one to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<ReachBody>,
    /// How the entries are to be packed: `zstd`, or as they are. Whoever does not know a way gives them as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
}

/// How far a log goes beyond what somebody has of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReachBody {
    /// The region whose log it is.
    pub region: String,
    /// How often its store was restored.
    pub epoch: u32,
    /// The last entry that they have.
    pub from: u64,
    /// The last entry that there is.
    pub to: u64,
    /// Bytes of the entries in between.
    pub bytes: u64,
    /// When the first of these was written, in Unix milliseconds.
    pub oldest_ms: Option<u64>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullHead {
    /// What it is.
    pub kind: PullKind,
    /// Whether there are more entries.
    pub more: bool,
    /// How far logs go beyond what the asking region has, the entries that follow included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<ReachBody>,
    /// Since when the answering region asks the asking one for nothing, since that is paused, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_ms: Option<u64>,
    /// Bytes of the entries unpacked, where they are packed by zstd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zstd_bytes: Option<u64>,
}

/// The name of the one way of packing, in a question.
pub const ZSTD: &str = "zstd";
/// How hard it is tried to pack entries tightly: more costs the answering region more than it spares the link.
const ZSTD_LEVEL: i32 = 3;

/// A head, and what follows it, as both travel; none where the head cannot be written.
pub fn encode_headed<H: Serialize>(head: &H, rest: &[u8]) -> Option<Vec<u8>> {
    let head = serde_json::to_vec(head).ok()?;
    let length = u32::try_from(head.len()).ok()?;
    Some([&length.to_le_bytes()[..], &head, rest].concat())
}

/// The head, and what follows it; none where there is none.
pub fn decode_headed<H: DeserializeOwned>(bytes: &Bytes) -> Option<(H, Bytes)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let head = serde_json::from_slice(bytes.get(4..4_usize.checked_add(length)?)?).ok()?;
    Some((head, bytes.slice(4 + length..)))
}

/// An answer as it travels, packed where `compression` is known and it gets smaller; none where its head cannot be
/// written.
pub fn encode_answer(mut head: PullHead, entries: &[u8], compression: Option<&str>) -> Option<Vec<u8>> {
    let packed = match compression {
        Some(ZSTD) => zstd::bulk::compress(entries, ZSTD_LEVEL).ok().filter(|packed| packed.len() < entries.len()),
        _ => None,
    };
    head.zstd_bytes = packed.as_ref().and(Some(entries.len() as u64));
    encode_headed(&head, packed.as_deref().unwrap_or(entries))
}

/// The head of an answer, and the entries, unpacked; none where it is no answer, or too large.
pub fn decode_answer(answer: &Bytes) -> Option<(PullHead, Bytes)> {
    let (head, entries) = decode_headed::<PullHead>(answer)?;
    let Some(bytes) = head.zstd_bytes else { return Some((head, entries)) };
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= limits::PULL_ANSWER_BYTES_MAX)?;
    let unpacked = zstd::bulk::decompress(&entries, bytes).ok().filter(|unpacked| unpacked.len() == bytes)?;
    Some((head, unpacked.into()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn head() -> PullHead {
        let kind = PullKind::Entries;
        PullHead { kind, more: true, reaches: Vec::new(), paused_ms: Some(7), zstd_bytes: None }
    }

    #[test]
    fn answers_travel_and_nonsense_is_told() {
        let answer: Option<Bytes> = encode_answer(head(), b"rows", None).map(Bytes::from);
        assert_eq!(answer.as_ref().and_then(decode_answer), Some((head(), Bytes::from_static(b"rows"))));
        for cut in 0..24 {
            assert_eq!(answer.as_ref().and_then(|answer| decode_answer(&answer.slice(..cut))), None, "{cut} bytes");
        }
        assert_eq!(decode_answer(&Bytes::from_static(b"\xff\xff\xff\xff{}")), None);
    }

    #[test]
    fn answers_are_packed_where_that_is_asked_for_and_helps() {
        let rows = b"the same again, ".repeat(1_000);
        let plain = encode_answer(head(), &rows, Some("brotli")).unwrap();
        let packed = encode_answer(head(), &rows, Some(ZSTD)).unwrap();
        assert!(packed.len() * 10 < plain.len(), "{} of {} bytes", packed.len(), plain.len());
        for answer in [plain, packed] {
            assert_eq!(decode_answer(&answer.into()).map(|(_, entries)| entries), Some(Bytes::from(rows.clone())));
        }
        let tiny = encode_answer(head(), b"x", Some(ZSTD)).map(Bytes::from);
        assert_eq!(tiny.as_ref().and_then(decode_answer), Some((head(), Bytes::from_static(b"x"))));
    }

    #[test]
    fn what_is_packed_is_as_large_as_its_head_says_and_no_larger_than_it_may_be() {
        let rows = vec![0; 100_000];
        let block = zstd::bulk::compress(&rows, ZSTD_LEVEL).unwrap();
        let answer = |bytes: u64| {
            let head = serde_json::to_vec(&PullHead { zstd_bytes: Some(bytes), ..head() }).unwrap();
            Bytes::from([&(head.len() as u32).to_le_bytes()[..], &head, &block].concat())
        };
        assert_eq!(decode_answer(&answer(100_000)).map(|(_, entries)| entries.len()), Some(100_000));
        for wrong in [0, 99_999, 100_001, limits::PULL_ANSWER_BYTES_MAX as u64 + 1, u64::MAX] {
            assert_eq!(decode_answer(&answer(wrong)), None, "{wrong} bytes");
        }
    }
}
