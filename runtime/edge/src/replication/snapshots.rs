//! Snapshots of sets on their way between regions.

use std::time::Duration;

use bytes::Bytes;
use domicile_query::Region;
use domicile_store::Want;
use domicile_sync::{SnapshotAnswer, SnapshotAsk};
use domicile_types::{Origin, RegionId, Vector, limits};
use domicile_wire::log::{decode_headed, encode_headed};
use domicile_wire::snapshot::{SNAPSHOT_PATH, SnapshotBody, SnapshotHead, SnapshotKind};
use http::Method;

use crate::problems::Refusal;

/// Asks another region for a snapshot, or a part of one. None where it does not answer, or not in a way that can be
/// understood.
pub(super) async fn fetch(region: &Region, peer: &RegionId, ask: &SnapshotAsk) -> Option<SnapshotAnswer> {
    let known = region.peers().iter().find(|known| known.id == *peer)?;
    let body = match ask {
        SnapshotAsk::List { set, have, starts, life } => {
            let start = |(life, start): (&Origin, &Vector)| (life.region.to_string(), life.epoch, start.numbers());
            let starts = starts.iter().map(start).collect();
            SnapshotBody::List { set: set.to_string(), have: have.numbers(), starts, life: *life }
        }
        SnapshotAsk::Part { set, want } => {
            SnapshotBody::Part { set: set.to_string(), file: want.file.to_string(), offset: want.offset }
        }
    };
    let body = Bytes::from(serde_json::to_vec(&body).ok()?);
    let timeout = Duration::from_millis(limits::PULL_TIMEOUT_MS);
    match region.client().send(known, Method::POST, SNAPSHOT_PATH, body, timeout).await {
        Ok(answer) => {
            let read = read(&answer.body);
            if read.is_none() {
                tracing::warn!(%peer, "an answer about a snapshot of a replication set cannot be read");
            }
            read
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "no snapshot from a peer");
            None
        }
    }
}

fn read(answer: &Bytes) -> Option<SnapshotAnswer> {
    let (SnapshotHead { kind, life }, rest) = decode_headed(answer)?;
    Some(match kind {
        SnapshotKind::List => SnapshotAnswer::List(rest),
        SnapshotKind::NotYet => SnapshotAnswer::NotYet { life },
        SnapshotKind::Part => SnapshotAnswer::Part(rest),
        SnapshotKind::Gone => SnapshotAnswer::Gone,
        SnapshotKind::NotPermitted => SnapshotAnswer::NotPermitted,
    })
}

/// What another region asks of a snapshot.
///
/// # Errors
/// Where the body asks for none.
pub(super) fn question(body: &Bytes) -> Result<SnapshotAsk, Refusal> {
    let not_one = |what: &str| Refusal::bad_request(format!("the body asks for no snapshot: {what}"));
    let set = |set: &str| set.parse().map_err(|_| not_one("the set has no name that one can have"));
    Ok(match serde_json::from_slice(body).map_err(|error| not_one(&error.to_string()))? {
        SnapshotBody::List { set: name, have, starts, life } => {
            let no_region = || not_one("a region has no name that one can have");
            let start = |(region, epoch, start): &(String, u32, _)| {
                Some((Origin { region: region.parse().ok()?, epoch: *epoch }, Vector::of_numbers(start)?))
            };
            let starts = starts.iter().map(start).collect::<Option<_>>().ok_or_else(no_region)?;
            SnapshotAsk::List { set: set(&name)?, have: Vector::of_numbers(&have).ok_or_else(no_region)?, starts, life }
        }
        SnapshotBody::Part { set: name, file, offset } => {
            let file = file.parse().map_err(|_| not_one("the file is named by no SHA-256"))?;
            SnapshotAsk::Part { set: set(&name)?, want: Want { file, offset } }
        }
    })
}

/// The answer to that as bytes; none where its head cannot be written.
pub(super) fn written(answer: &SnapshotAnswer) -> Option<Vec<u8>> {
    let (kind, life, bytes) = match answer {
        SnapshotAnswer::List(list) => (SnapshotKind::List, None, &list[..]),
        SnapshotAnswer::NotYet { life } => (SnapshotKind::NotYet, *life, &[][..]),
        SnapshotAnswer::Part(bytes) => (SnapshotKind::Part, None, &bytes[..]),
        SnapshotAnswer::Gone => (SnapshotKind::Gone, None, &[][..]),
        SnapshotAnswer::NotPermitted => (SnapshotKind::NotPermitted, None, &[][..]),
    };
    encode_headed(&SnapshotHead { kind, life }, bytes)
}
