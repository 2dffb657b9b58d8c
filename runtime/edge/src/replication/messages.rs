//! Questions and answers about logs, as they travel and as regions mean them.
//!
//! It stands on nothing else of this crate: the simulated network compiles this very file.

use bytes::Bytes;
use domicile_store::{Entry, Reach};
use domicile_sync::{Answer, News, Pull};
use domicile_types::{LogCompression, Origin, RegionId, Vector, entry_number};
use domicile_wire::log::{PullBody, PullHead, PullKind, ReachBody, ZSTD, decode_answer, encode_answer};

/// What is said of a log in a question whose region has no name that one can have, or whose number no entry can have.
const NO_LOG: &str = "a region or a number of an entry is none that there can be";
/// What is said of a name in a question that no region can have.
const NO_REGION: &str = "a region has no name that one can have";

/// A question as JSON, which asks for entries packed so.
pub(crate) fn question(pull: &Pull, compression: Option<LogCompression>) -> Option<Bytes> {
    let body = PullBody {
        set: pull.set.to_string(),
        have: pull.have.numbers(),
        holds: pull.holds.numbers(),
        epoch: pull.epoch,
        at_once: pull.at_once,
        regions: pull.regions.iter().map(RegionId::to_string).collect(),
        ahead_ms: pull.ahead_ms,
        bytes_max: pull.bytes_max,
        reaches: pull.reaches.iter().map(reach_body).collect(),
        compression: compression.map(|LogCompression::Zstd| ZSTD.to_owned()),
    };
    serde_json::to_vec(&body).ok().map(Bytes::from)
}

/// The question that another region's body is, and how it wants the entries packed.
///
/// # Errors
/// What is wrong with it, where it is none.
pub(crate) fn read_question(body: &[u8]) -> Result<(Pull, Option<String>), String> {
    let body: PullBody = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let known = |numbers| Vector::of_numbers(numbers).ok_or(NO_LOG);
    let regions = body.regions.iter().map(|region| region.parse()).collect::<Result<_, _>>();
    let pull = Pull {
        set: body.set.parse().map_err(|_| "the set has no name that one can have")?,
        have: known(&body.have)?,
        holds: known(&body.holds)?,
        epoch: body.epoch,
        at_once: body.at_once,
        regions: regions.map_err(|_| NO_REGION)?,
        ahead_ms: body.ahead_ms,
        bytes_max: body.bytes_max,
        reaches: body.reaches.iter().map(reach).collect::<Option<_>>().ok_or(NO_LOG)?,
    };
    Ok((pull, body.compression))
}

/// An answer as bytes, packed as it is wanted.
pub(crate) fn answer(answer: &Answer, compression: Option<&str>) -> Option<Vec<u8>> {
    let nothing = News::default();
    let (kind, more, entries, news) = match answer {
        Answer::Entries { entries, more, news } => (PullKind::Entries, *more, entries.as_slice(), news),
        Answer::SnapshotRequired => (PullKind::SnapshotRequired, false, &[][..], &nothing),
        Answer::NotPermitted => (PullKind::NotPermitted, false, &[][..], &nothing),
        Answer::Fenced => (PullKind::Fenced, false, &[][..], &nothing),
    };
    let mut bytes = Vec::with_capacity(entries.iter().map(Entry::encoded_len).sum());
    entries.iter().try_for_each(|entry| entry.encode(&mut bytes)).ok()?;
    let reaches = news.reaches.iter().map(reach_body).collect();
    let head = PullHead { kind, more, reaches, paused_ms: news.paused_ms, zstd_bytes: None };
    encode_answer(head, &bytes, compression)
}

/// The answer that some bytes are.
pub(crate) fn read_answer(body: &Bytes) -> Option<Answer> {
    let (head, mut rest) = decode_answer(body)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, behind) = Entry::decode(&rest).ok()?;
        entries.push(entry);
        rest = behind;
    }
    Some(match head.kind {
        PullKind::Entries => {
            let reaches = head.reaches.iter().map(reach).collect::<Option<_>>()?;
            Answer::Entries { entries, more: head.more, news: News { reaches, paused_ms: head.paused_ms } }
        }
        PullKind::SnapshotRequired => Answer::SnapshotRequired,
        PullKind::NotPermitted => Answer::NotPermitted,
        PullKind::Fenced => Answer::Fenced,
    })
}

fn reach_body(reach: &Reach) -> ReachBody {
    let Reach { origin, from, to, bytes, oldest_ms } = reach.clone();
    ReachBody { region: origin.region.to_string(), epoch: origin.epoch, from, to, bytes, oldest_ms }
}

fn reach(body: &ReachBody) -> Option<Reach> {
    let ReachBody { region, epoch, from, to, bytes, oldest_ms } = body;
    let origin = Origin { region: region.parse().ok()?, epoch: *epoch };
    Some(Reach { origin, from: entry_number(*from)?, to: entry_number(*to)?, bytes: *bytes, oldest_ms: *oldest_ms })
}
