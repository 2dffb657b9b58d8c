//! What those are told who do not stand where something failed.

use domicile_sandbox::ErrorKind;
use domicile_types::RegionId;

use crate::QueryError;

/// The error without anything that could tell of rows here: messages cross borders too. The log gets the kind of error,
/// and no value either: a log has readers of its own.
pub(crate) fn opaque(error: QueryError, here: &RegionId) -> QueryError {
    match error {
        // Code can trap, run on or fill its memory for a row that it looks for: that it did not finish is all that may
        // be known.
        QueryError::Plugin(error) if !matches!(error.kind(), ErrorKind::Request | ErrorKind::Busy) => {
            tracing::warn!(error = %error.without_guest_text(), "a plugin failed in a part of an answer that goes elsewhere");
            QueryError::PluginFailedElsewhere { region: here.clone() }
        }
        QueryError::Execution(detail) | QueryError::Data(detail) => {
            tracing::warn!(kind = kind(&detail), "a part of an answer that goes elsewhere failed");
            QueryError::Execution(format!("region `{here}` could not compute its part; its log says how it failed"))
        }
        QueryError::Store(error) => unreadable(&error, here),
        QueryError::Read(error) => unreadable(&error, here),
        other => other,
    }
}

/// Keeps an error that came of rows in this region's log: nobody elsewhere may know that there was one.
///
/// # Errors
/// The same, where it is about the region and not about a row.
pub(crate) fn kept_back(error: QueryError) -> Result<(), QueryError> {
    match error {
        QueryError::Plugin(error) if !matches!(error.kind(), ErrorKind::Request | ErrorKind::Busy) => {
            tracing::warn!(error = %error.without_guest_text(), "a plugin failed at a row; all groups are held back");
            Ok(())
        }
        // How much memory is free hangs on what else is asked; who waits gets an answer.
        QueryError::Execution(detail) if detail.contains(EXHAUSTED) => Err(QueryError::Execution(detail)),
        QueryError::Execution(detail) | QueryError::Data(detail) => {
            tracing::warn!(kind = kind(&detail), "a part of an answer failed at a row; all groups are held back");
            Ok(())
        }
        QueryError::TooLarge { what, limit, unit } => {
            tracing::warn!(what, limit, unit, "a part of an answer is too large; all groups are held back");
            Ok(())
        }
        other => Err(other),
    }
}

/// How the engine says that memory is used up.
const EXHAUSTED: &str = "Resources exhausted";

fn unreadable(error: &domicile_store::StoreError, here: &RegionId) -> QueryError {
    tracing::error!(%error, "a part of an answer that goes elsewhere could not be read");
    QueryError::Execution(format!("region `{here}` could not read its rows; its log says why"))
}

/// What comes before the first colon: the engine puts its own kinds of error there, and what may hold values behind.
fn kind(detail: &str) -> &str {
    detail.split(':').next().unwrap_or_default()
}
