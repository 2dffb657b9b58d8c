//! Questions and answers, as they travel and as regions mean them.

use bytes::Bytes;
use domicile_store::{Entry, Reach};
use domicile_sync::{Answer, News, Pull};
use domicile_types::{Origin, RegionId};
use domicile_wire::log::{PullBody, PullHead, PullKind, ReachBody, decode_answer, encode_answer, numbers, vector};

/// A question as JSON.
pub(crate) fn question(pull: &Pull) -> Option<Bytes> {
    let body = PullBody {
        set: pull.set.to_string(),
        have: numbers(&pull.have),
        holds: numbers(&pull.holds),
        epoch: pull.epoch,
        at_once: pull.at_once,
        regions: pull.regions.iter().map(RegionId::to_string).collect(),
        ahead_ms: pull.ahead_ms,
        bytes_max: pull.bytes_max,
        reaches: pull.reaches.iter().map(reach_body).collect(),
        compression: None,
    };
    serde_json::to_vec(&body).ok().map(Bytes::from)
}

/// The question that some bytes are.
pub(crate) fn read_question(body: &[u8]) -> Option<Pull> {
    let body: PullBody = serde_json::from_slice(body).ok()?;
    Some(Pull {
        set: body.set.parse().ok()?,
        have: vector(&body.have)?,
        holds: vector(&body.holds)?,
        epoch: body.epoch,
        at_once: body.at_once,
        regions: body.regions.iter().map(|region| region.parse().ok()).collect::<Option<_>>()?,
        ahead_ms: body.ahead_ms,
        bytes_max: body.bytes_max,
        reaches: body.reaches.iter().map(reach).collect::<Option<_>>()?,
    })
}

/// An answer as bytes.
pub(crate) fn answer(answer: &Answer) -> Option<Vec<u8>> {
    let nothing = News::default();
    let (kind, more, entries, news) = match answer {
        Answer::Entries { entries, more, news } => (PullKind::Entries, *more, entries.as_slice(), news),
        Answer::SnapshotRequired => (PullKind::SnapshotRequired, false, &[][..], &nothing),
        Answer::NotPermitted => (PullKind::NotPermitted, false, &[][..], &nothing),
        Answer::Fenced => (PullKind::Fenced, false, &[][..], &nothing),
    };
    let mut bytes = Vec::new();
    entries.iter().try_for_each(|entry| entry.encode(&mut bytes)).ok()?;
    let reaches = news.reaches.iter().map(reach_body).collect();
    encode_answer(PullHead { kind, more, reaches, paused_ms: news.paused_ms, zstd_bytes: None }, &bytes, None)
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
    Some(Reach { origin, from: *from, to: *to, bytes: *bytes, oldest_ms: *oldest_ms })
}
