//! Questions and answers on their way between regions.

use std::time::Duration;

use bytes::Bytes;
use domicile_query::Region;
use domicile_store::{Entry, Want};
use domicile_sync::{Answer, Pull, SnapshotAnswer, SnapshotAsk};
use domicile_types::{RegionId, limits};
use domicile_wire::log::{LOG_PATH, PullBody, PullHead, PullKind, decode_answer, encode_answer, numbers, vector};
use domicile_wire::snapshot::{SNAPSHOT_PATH, SnapshotBody, SnapshotHead, SnapshotKind};
use http::Method;
use serde::Serialize;

use crate::problems::Refusal;

/// Asks another region. None where it does not answer, or not in a way that can be understood.
pub(super) async fn pull(region: &Region, peer: &RegionId, pull: &Pull) -> Option<Answer> {
    let body = PullBody {
        set: pull.set.to_string(),
        have: numbers(&pull.have),
        epoch: pull.epoch,
        at_once: pull.at_once,
        regions: pull.regions.iter().map(RegionId::to_string).collect(),
        ahead_ms: pull.ahead_ms,
        bytes_max: pull.bytes_max,
    };
    sent(region, peer, LOG_PATH, &body, read).await
}

/// Asks another region for a snapshot, or a part of one. None where it does not answer, or not in a way that can be
/// understood.
pub(super) async fn snapshot(region: &Region, peer: &RegionId, ask: &SnapshotAsk) -> Option<SnapshotAnswer> {
    let body = match ask {
        SnapshotAsk::List { set, have, life } => {
            SnapshotBody::List { set: set.to_string(), have: numbers(have), life: *life }
        }
        SnapshotAsk::Part { set, want } => {
            SnapshotBody::Part { set: set.to_string(), file: want.file.to_string(), offset: want.offset }
        }
    };
    sent(region, peer, SNAPSHOT_PATH, &body, read_snapshot).await
}

async fn sent<A>(
    region: &Region,
    peer: &RegionId,
    path: &str,
    body: &impl Serialize,
    read: impl FnOnce(&Bytes) -> Option<A>,
) -> Option<A> {
    let known = region.peers().iter().find(|known| known.id == *peer)?;
    let body = Bytes::from(serde_json::to_vec(body).ok()?);
    let timeout = Duration::from_millis(limits::PULL_TIMEOUT_MS);
    match region.client().send(known, Method::POST, path, body, timeout).await {
        Ok(answer) => {
            let read = read(&answer.body);
            if read.is_none() {
                tracing::warn!(%peer, path, "an answer about a replication set cannot be read");
            }
            read
        }
        Err(error) => {
            tracing::debug!(%peer, path, %error, "no answer about a replication set from a peer");
            None
        }
    }
}

fn read(answer: &Bytes) -> Option<Answer> {
    let (head, mut rest) = decode_answer::<PullHead>(answer)?;
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
        PullKind::Fenced => Answer::Fenced,
    })
}

fn read_snapshot(answer: &Bytes) -> Option<SnapshotAnswer> {
    let (SnapshotHead { kind, life }, rest) = decode_answer(answer)?;
    Some(match kind {
        SnapshotKind::List => SnapshotAnswer::List(rest),
        SnapshotKind::NotYet => SnapshotAnswer::NotYet { life },
        SnapshotKind::Part => SnapshotAnswer::Part(rest),
        SnapshotKind::Gone => SnapshotAnswer::Gone,
        SnapshotKind::NotPermitted => SnapshotAnswer::NotPermitted,
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
        epoch: body.epoch,
        at_once: body.at_once,
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
        Answer::Fenced => (PullKind::Fenced, false, &[][..]),
    };
    let mut bytes = Vec::with_capacity(entries.iter().map(Entry::encoded_len).sum());
    entries.iter().try_for_each(|entry| entry.encode(&mut bytes)).ok()?;
    encode_answer(&PullHead { kind, more }, &bytes)
}

/// What another region asks of a snapshot.
pub(super) fn snapshot_question(body: &Bytes) -> Result<SnapshotAsk, Refusal> {
    let not_one = |what: &str| Refusal::bad_request(format!("the body asks for no snapshot: {what}"));
    let set = |set: &str| set.parse().map_err(|_| not_one("the set has no name that one can have"));
    Ok(match serde_json::from_slice(body).map_err(|error| not_one(&error.to_string()))? {
        SnapshotBody::List { set: name, have, life } => {
            let have = vector(&have).ok_or_else(|| not_one("a region has no name that one can have"))?;
            SnapshotAsk::List { set: set(&name)?, have, life }
        }
        SnapshotBody::Part { set: name, file, offset } => {
            let file = file.parse().map_err(|_| not_one("the file is named by no SHA-256"))?;
            SnapshotAsk::Part { set: set(&name)?, want: Want { file, offset } }
        }
    })
}

/// The answer to that as bytes.
pub(super) fn written_snapshot(answer: &SnapshotAnswer) -> Option<Vec<u8>> {
    let (kind, life, bytes) = match answer {
        SnapshotAnswer::List(list) => (SnapshotKind::List, None, &list[..]),
        SnapshotAnswer::NotYet { life } => (SnapshotKind::NotYet, *life, &[][..]),
        SnapshotAnswer::Part(bytes) => (SnapshotKind::Part, None, &bytes[..]),
        SnapshotAnswer::Gone => (SnapshotKind::Gone, None, &[][..]),
        SnapshotAnswer::NotPermitted => (SnapshotKind::NotPermitted, None, &[][..]),
    };
    encode_answer(&SnapshotHead { kind, life }, bytes)
}
