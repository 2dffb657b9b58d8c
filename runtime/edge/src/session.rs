//! Sessions: a client that takes along what it has written or read is shown nothing older.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use domicile_types::{SetName, Vector, limits};
use domicile_wire::Problem;
use domicile_wire::session::{SESSION, Session};
use tokio::time::Instant;

use crate::body;
use crate::problems::Refusal;
use crate::serve::Edge;

/// The session that a request brings; an empty one where it brings none.
///
/// # Errors
/// Where the header is no session.
pub(crate) fn brought(headers: &HeaderMap) -> Result<Session, Refusal> {
    let Some(text) = body::header(headers, SESSION)? else { return Ok(Session::default()) };
    Session::parse(text.trim()).ok_or_else(|| {
        Refusal::bad_request(
            "`Session` is not the text of such a header of an earlier response; send one as it came, or leave it out",
        )
    })
}

/// What of a session this region lacks: the first set, and whether it takes part in it.
fn lacking<'s>(edge: &Edge, session: &'s Session) -> Option<(&'s SetName, bool)> {
    let snapshot = edge.region.store().snapshot();
    let lacks = |(set, known): (&'s SetName, &Vector)| {
        let applied = snapshot.applied.get(set);
        let is_here = edge.replication().names().any(|known| known == set);
        let is_covered = is_here && applied.is_some_and(|applied| applied.covers(known));
        (!is_covered).then_some((set, is_here))
    };
    session.sets().find_map(lacks)
}

/// Waits until this region has applied what a session knows of. Says how long that took, at most `timeout` and
/// [`limits::SESSION_WAIT_MAX`].
///
/// # Errors
/// Where it has not in that time.
pub(crate) async fn await_applied(edge: &Arc<Edge>, session: &Session, timeout: Duration) -> Result<Duration, Refusal> {
    let (started, mut changes) = (Instant::now(), edge.region.changes());
    let deadline = started + timeout.min(limits::SESSION_WAIT_MAX);
    while let Some((set, is_here)) = lacking(edge, session) {
        let changed = is_here && matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(())));
        if !changed {
            return Err(behind(edge, set, is_here));
        }
    }
    Ok(started.elapsed())
}

fn behind(edge: &Edge, set: &SetName, is_here: bool) -> Refusal {
    let region = edge.region.id();
    let why = match (is_here, edge.replication().is_paused(set)) {
        (false, _) => {
            format!("takes no part in replication set `{set}`; ask a region that does, or leave `Session` out")
        }
        (true, true) => format!(
            "has not got all of replication set `{set}` that this session has seen, and replication is paused there; ask \
             another region, or leave `Session` out to see what there is"
        ),
        (true, false) => format!(
            "has not got all of replication set `{set}` that this session has seen; ask again later or in another region, \
             or leave `Session` out to see what there is"
        ),
    };
    let problem =
        Problem::new(503, "session-behind", "The region is behind the session", format!("region `{region}` {why}"));
    let problem = problem.with("set", set.as_str()).with("region", region.as_str());
    Refusal::new(if is_here { problem.with("retry_after_s", 1) } else { problem })
}

/// The response with what its client knows of from now on: the session that it brought, with what counts here of these
/// sets. Left out where it knows of nothing replicated, or of too many sets for a header.
pub(crate) fn with_session<'s>(
    edge: &Edge,
    mut response: Response,
    mut session: Session,
    sets: impl IntoIterator<Item = &'s SetName>,
) -> Response {
    let snapshot = edge.region.store().snapshot();
    let counts = sets.into_iter().filter_map(|set| Some((set, snapshot.applied.get(set)?)));
    counts.for_each(|(set, applied)| session.join(set, applied));
    if let Some(value) = session.text().and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(HeaderName::from_static(SESSION), value);
    }
    response
}
