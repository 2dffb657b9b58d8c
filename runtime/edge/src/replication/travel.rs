//! Asking another region for entries, and judging what comes.

use std::time::Duration;

use domicile_query::Region;
use domicile_sync::{Answer, Pull};
use domicile_types::{LogCompression, RegionId, ReplicationSet, limits};
use domicile_wire::Pace;
use domicile_wire::log::LOG_PATH;
use http::Method;

use super::{copies, messages};

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
    let body = messages::question(pull, compression)?;
    let pace = Pace {
        bytes_max: limits::PULL_ANSWER_BYTES_MAX,
        silence_max: Duration::from_millis(limits::PULL_TIMEOUT_MS),
        bytes_per_s_min: limits::PULL_BYTES_PER_S_MIN,
    };
    match region.client().send_patiently(known, (Method::POST, LOG_PATH), body, pace).await {
        Ok(answer) => {
            let (body, bytes) = (answer.body.clone(), answer.body.len() as u64);
            // Unpacking takes a while.
            let Some(read) = tokio::task::spawn_blocking(move || messages::read_answer(&body)).await.ok().flatten()
            else {
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
