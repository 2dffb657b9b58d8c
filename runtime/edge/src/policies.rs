//! The policies in force, and reading them again.

use axum::extract::State;
use domicile_query::{policies, reload_policies};

use crate::serve::{Handled, Shared, json};

/// `GET /v1/policies`
pub(crate) async fn list(State(edge): Shared) -> Handled {
    Ok(json(&policies(&edge.region)))
}

/// `POST /v1/policies/reload`
pub(crate) async fn reload(State(edge): Shared) -> Handled {
    Ok(json(&reload_policies(&edge.region).await?))
}
