//! Questions and answers on their way between regions.

use std::time::Duration;

use bytes::Bytes;
use domicile_query::Region;
use domicile_store::Entry;
use domicile_sync::{Answer, Pull};
use domicile_types::{RegionId, ReplicationSet, limits};
use domicile_wire::log::{LOG_PATH, PullBody, PullHead, PullKind, decode_answer, encode_answer, numbers, vector};
use http::Method;

use super::copies;
use crate::problems::Refusal;

/// Asks another region. None where it does not answer, or not in a way that can be understood.
pub(super) async fn pull(region: &Region, set: &ReplicationSet, peer: &RegionId, pull: &Pull) -> Option<Answer> {
    let known = region.peers().iter().find(|known| known.id == *peer)?;
    let body = PullBody {
        set: pull.set.to_string(),
        have: numbers(&pull.have),
        regions: pull.regions.iter().map(RegionId::to_string).collect(),
        ahead_ms: pull.ahead_ms,
        bytes_max: pull.bytes_max,
    };
    let body = Bytes::from(serde_json::to_vec(&body).ok()?);
    let timeout = Duration::from_millis(limits::PULL_TIMEOUT_MS);
    match region.client().send(known, Method::POST, LOG_PATH, body, timeout).await {
        Ok(answer) => {
            let Some(read) = read(&answer.body) else {
                tracing::warn!(%peer, "an answer about the logs of a replication set cannot be read");
                return None;
            };
            let checked = copies::check(region, set, pull, (&read, &answer.body), &answer);
            if let Err(error) = &checked {
                tracing::error!(%peer, %error, "rows of another home are not taken");
            }
            checked.is_ok().then_some(read)
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
        PullKind::Entries => Answer::Entries { entries, more: head.more },
        PullKind::SnapshotRequired => Answer::SnapshotRequired,
        PullKind::NotPermitted => Answer::NotPermitted,
    })
}

/// The question that another region's body is.
pub(super) fn question(body: &Bytes) -> Result<Pull, Refusal> {
    let not_one = |what: &str| Refusal::bad_request(format!("the body is no question for entries: {what}"));
    let body: PullBody = serde_json::from_slice(body).map_err(|error| not_one(&error.to_string()))?;
    let regions = body.regions.iter().map(|region| region.parse()).collect::<Result<_, _>>();
    Ok(Pull {
        set: body.set.parse().map_err(|_| not_one("the set has no name that one can have"))?,
        have: vector(&body.have).ok_or_else(|| not_one("a region has no name that one can have"))?,
        regions: regions.map_err(|_| not_one("a region has no name that one can have"))?,
        ahead_ms: body.ahead_ms,
        bytes_max: body.bytes_max,
    })
}

/// The answer as bytes.
pub(super) fn written(answer: &Answer) -> Option<Vec<u8>> {
    let (kind, more, entries) = match answer {
        Answer::Entries { entries, more } => (PullKind::Entries, *more, entries.as_slice()),
        Answer::SnapshotRequired => (PullKind::SnapshotRequired, false, &[][..]),
        Answer::NotPermitted => (PullKind::NotPermitted, false, &[][..]),
    };
    let mut bytes = Vec::with_capacity(entries.iter().map(Entry::encoded_len).sum());
    entries.iter().try_for_each(|entry| entry.encode(&mut bytes)).ok()?;
    encode_answer(PullHead { kind, more }, &bytes)
}
