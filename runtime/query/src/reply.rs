//! Answering another region that asks for a fragment: of what lives here, or of a copy here in the place of its home.

use std::time::{Duration, Instant};

use domicile_types::RegionId;
use domicile_wire::api::{FragmentFacts as ReplyFacts, FragmentRequest};
use domicile_wire::token::Role;
use tracing::Instrument;

use crate::QueryError;
use crate::client::Destination;
use crate::crossing::seal;
use crate::opaque::opaque;
use crate::region::Region;
use crate::remote::{Question, execute};

/// A fragment's answer as it crosses the border.
#[derive(Debug)]
pub struct FragmentReply {
    /// Receipt and other facts, for the `Receipt` header.
    pub facts: ReplyFacts,
    /// The frames.
    pub body: Vec<u8>,
}

/// Answers `caller`, another region: checks for whom it asks, admits the fragment under this region's own policies,
/// executes it, holds back what is too small, and writes the receipt before a byte leaves.
///
/// # Errors
/// Where the client's token is not accepted here, the policies refuse, or the fragment fails.
pub async fn answer(region: &Region, caller: &RegionId, request: FragmentRequest) -> Result<FragmentReply, QueryError> {
    let timeout = Duration::from_millis(request.timeout_ms).min(domicile_types::limits::QUERY_TIMEOUT_MAX);
    let span = tracing::info_span!("fragment", query_id = request.query_id, from = %region.id, to = %caller);
    let reply = async {
        if request.explain {
            return Err(QueryError::sql("this fragment is to be explained, not answered", None));
        }
        let calls_plugins = !request.plugins.is_empty();
        let _plugin_slot = if calls_plugins { Some(region.plugin_fragment_slots.acquire().await) } else { None };
        let _slot = region.fragment_slots.acquire().await;
        let started = Instant::now();
        let catalog = region.catalog();
        let home = home_of(region, &request)?;
        let question = Question {
            home: &home,
            staleness_max_ms: request.staleness_max_ms,
            catalog: &catalog,
            sql: &request.sql,
            purpose: request.purpose.as_deref(),
            pins: &request.plugins,
            partial_of: request.partial_of.as_deref(),
        };
        let destination = destination(region, &home, caller, &request)?;
        let done = execute(region, &destination, question).await?;
        let (body, receipt, done) = seal(region, &destination, &request.query_id, question, done).await?;
        let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(FragmentReply {
            facts: ReplyFacts {
                receipt,
                as_of: done.as_of,
                elapsed_ms,
                epsilon_millionths: done.epsilon_millionths(),
                without_rows: done.without_rows,
                as_of_unix_ms: done.copy_of_ms,
            },
            body,
        })
    };
    let reply = async { reply.await.map_err(|error| opaque(error, &region.id)) }.instrument(span);
    tokio::time::timeout(timeout, reply).await.map_err(|_| QueryError::TimedOut { timeout_ms: timeout.as_millis() })?
}

/// Where a fragment's result goes, from the client's token as this region itself reads it, whatever the caller says.
pub(crate) fn destination(
    region: &Region,
    home: &RegionId,
    caller: &RegionId,
    request: &FragmentRequest,
) -> Result<Destination, QueryError> {
    let client = region.client_at(caller, request.token.clone())?;
    client.check_role(Role::Query)?;
    client.check_purpose(request.purpose.as_deref())?;
    Destination::of(home, caller, &client)
}

/// Where the rows live that a fragment is asked of.
fn home_of(region: &Region, request: &FragmentRequest) -> Result<RegionId, QueryError> {
    let Some(home) = &request.home else { return Ok(region.id.clone()) };
    let known = region.peers.iter().map(|peer| &peer.id).find(|id| id.as_str() == home);
    let unknown = || QueryError::unknown("region", home, region.peers.iter().map(|peer| peer.id.as_str()));
    known.cloned().ok_or_else(unknown)
}
