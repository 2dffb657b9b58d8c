//! Questions and answers on their way between regions.

use std::time::Duration;

use bytes::Bytes;
use domicile_query::Region;
use domicile_store::{Entry, Reach};
use domicile_sync::{Answer, News, Pull};
use domicile_types::{LogCompression, Origin, RegionId, ReplicationSet, limits};
use domicile_wire::Pace;
use domicile_wire::log::{
    LOG_PATH, PullBody, PullHead, PullKind, ReachBody, ZSTD, decode_answer, encode_answer, numbers, vector,
};
use http::Method;

use super::copies;
use crate::problems::Refusal;

/// An answer, and the bytes that came over the link for it.
pub(super) type Arrived = (Answer, u64);

/// Asks another region. None where it does not answer, or not in a way that can be understood.
pub(super) async fn pull(
    region: &Region,
    set: &ReplicationSet,
    peer: &RegionId,
    pull: &Pull,
    compression: Option<LogCompression>,
) -> Option<Arrived> {
    let known = region.peers().iter().find(|known| known.id == *peer)?;
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
        compression: compression.map(|LogCompression::Zstd| ZSTD.to_owned()),
    };
    let body = Bytes::from(serde_json::to_vec(&body).ok()?);
    let pace = Pace {
        bytes_max: limits::PULL_ANSWER_BYTES_MAX,
        silence_max: Duration::from_millis(limits::PULL_TIMEOUT_MS),
        bytes_per_s_min: limits::PULL_BYTES_PER_S_MIN,
    };
    match region.client().send_patiently(known, (Method::POST, LOG_PATH), body, pace).await {
        Ok(answer) => {
            let (body, bytes) = (answer.body.clone(), answer.body.len() as u64);
            // Unpacking takes a while.
            let Some(read) = tokio::task::spawn_blocking(move || read(&body)).await.ok().flatten() else {
                tracing::warn!(%peer, "an answer about the logs of a replication set cannot be read");
                return None;
            };
            let checked = copies::check(region, set, pull, (&read, &answer.body), &answer);
            if let Err(error) = &checked {
                tracing::error!(%peer, %error, "rows of another home are not taken");
            }
            checked.is_ok().then_some((read, bytes))
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "no entries from a peer");
            None
        }
    }
}

fn read(answer: &Bytes) -> Option<Answer> {
    let (head, mut rest) = decode_answer(answer)?;
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

/// The question that another region's body is, and how it wants the entries packed.
///
/// # Errors
/// Where it is none.
pub(super) fn question(body: &Bytes) -> Result<(Pull, Option<String>), Refusal> {
    let not_one = |what: &str| Refusal::bad_request(format!("the body is no question for entries: {what}"));
    let body: PullBody = serde_json::from_slice(body).map_err(|error| not_one(&error.to_string()))?;
    let known = |numbers| vector(numbers).ok_or_else(|| not_one("a region has no name that one can have"));
    let regions = body.regions.iter().map(|region| region.parse()).collect::<Result<_, _>>();
    let reaches = body.reaches.iter().map(reach).collect::<Option<_>>();
    let pull = Pull {
        set: body.set.parse().map_err(|_| not_one("the set has no name that one can have"))?,
        have: known(&body.have)?,
        holds: known(&body.holds)?,
        epoch: body.epoch,
        at_once: body.at_once,
        regions: regions.map_err(|_| not_one("a region has no name that one can have"))?,
        ahead_ms: body.ahead_ms,
        bytes_max: body.bytes_max,
        reaches: reaches.ok_or_else(|| not_one("a region has no name that one can have"))?,
    };
    Ok((pull, body.compression))
}

/// The answer as bytes, packed as it is wanted.
pub(super) fn written(answer: &Answer, compression: Option<&str>) -> Option<Vec<u8>> {
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
