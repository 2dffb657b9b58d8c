//! Rows with a home on their way into copies: nothing leaves but by the policies of that moment and with a receipt, and
//! nothing is taken without one.

use bytes::Bytes;
use domicile_query::{CopyQuestion, QueryError, Region};
use domicile_store::Entry;
use domicile_sync::{Answer, Pull};
use domicile_types::{RegionId, ReplicationSet};
use domicile_wire::api::header;
use domicile_wire::client::Answer as Response;
use domicile_wire::receipt::SignedReceipt;

use super::{Replication, messages};
use crate::peers::Reply;
use crate::problems::Refusal;

/// The reply to a question of another region for entries.
///
/// # Errors
/// Where the answer cannot be written, or its receipt.
pub(super) async fn reply(
    replication: &Replication,
    region: &Region,
    caller: RegionId,
    pull: Pull,
    compression: Option<&str>,
) -> Result<Reply, Refusal> {
    let set = replication.sets.get(&pull.set).map(|part| part.set.clone());
    let Some(set) = set.filter(|set| set.home.is_some()) else {
        return Ok(written(replication.ask(caller, pull).await, compression).await?.into());
    };
    // Looked at before, so that nobody waits for what is refused, and again when the receipt is made.
    if !region.may_copy(&set, &caller) {
        return refused(&set, &caller).await;
    }
    let have = pull.have.clone();
    let answer = replication.ask(caller.clone(), pull).await;
    let rows = match &answer {
        Answer::Entries { entries, .. } if !entries.is_empty() => {
            Some(entries.iter().map(|entry| Entry::rows(entry) as u64).sum())
        }
        _ => None,
    };
    let body = written(answer, compression).await?;
    let Some(rows) = rows else { return Ok(body.into()) };
    let asked = CopyQuestion { set: &set, have: &have, to: &caller };
    let Some(receipt) = region.copy_receipt(asked, rows, &body).await? else {
        return refused(&set, &caller).await;
    };
    let unwritable = || QueryError::Execution("a receipt cannot be encoded".to_owned());
    Ok(Reply::with_receipt(receipt.to_header().ok_or_else(unwritable)?, body))
}

async fn refused(set: &ReplicationSet, caller: &RegionId) -> Result<Reply, Refusal> {
    tracing::warn!(set = %set.name, %caller, "the policies here, or the law, let no copies of this set go there");
    Ok(written(Answer::NotPermitted, None).await?.into())
}

async fn written(answer: Answer, compression: Option<&str>) -> Result<Vec<u8>, QueryError> {
    let compression = compression.map(str::to_owned);
    // Packing takes a while.
    let written = tokio::task::spawn_blocking(move || messages::answer(&answer, compression.as_deref())).await;
    written.ok().flatten().ok_or_else(|| QueryError::Execution("entries cannot be encoded".to_owned()))
}

/// Holds where an answer may be taken: rows with a home come with a receipt of it.
///
/// # Errors
/// Names what does not fit.
pub(super) fn check(
    region: &Region,
    set: &ReplicationSet,
    pull: &Pull,
    (answer, body): (&Answer, &Bytes),
    response: &Response,
) -> Result<(), QueryError> {
    let is_empty = !matches!(answer, Answer::Entries { entries, .. } if !entries.is_empty());
    if set.home.is_none() || is_empty {
        return Ok(());
    }
    let signed = response.headers.get(header::RECEIPT);
    let signed = signed.and_then(|value| SignedReceipt::from_header(value.as_bytes()));
    let asked = CopyQuestion { set, have: &pull.have, to: region.id() };
    region.check_copy(asked, signed.as_ref(), body)
}
