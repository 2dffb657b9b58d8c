//! Who asks: every path that is not open to all passes here first.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use domicile_query::Client;
use domicile_wire::token::{RawToken, Role};

use crate::problems::Refusal;
use crate::serve::Edge;

/// What a client needs for a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    /// None where any token will do.
    role: Option<Role>,
    /// Whether the client has to stand where this region does: what is shown tells of rows here that no policy judged.
    here: bool,
}

impl Needs {
    /// Being a client is enough.
    pub(crate) const ANY: Self = Self { role: None, here: false };

    /// The role is enough, wherever the client stands.
    pub(crate) const fn role(role: Role) -> Self {
        Self { role: Some(role), here: false }
    }

    /// The role, and standing here.
    pub(crate) const fn role_here(role: Role) -> Self {
        Self { role: Some(role), here: true }
    }
}

/// Lets only clients through that have what is needed. Handlers find the [`Client`] among the request's extensions.
pub(crate) fn guarded(routes: Router<Arc<Edge>>, edge: &Arc<Edge>, needs: Needs) -> Router<Arc<Edge>> {
    routes.route_layer(from_fn_with_state((Arc::clone(edge), needs), admit))
}

async fn admit(
    State((edge, needs)): State<(Arc<Edge>, Needs)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let client: Client = edge.region.client_here(token(request.headers()))?;
    needs.role.map_or(Ok(()), |role| client.check_role(role))?;
    if needs.here {
        client.check_stands_at(edge.region.id())?;
    }
    request.extensions_mut().insert(client);
    Ok(next.run(request).await)
}

/// The token of the one `Authorization` header; none where there is no such header. What is no bearer token is a token
/// that nobody accepts, so that it is never mistaken for none.
fn token(headers: &HeaderMap) -> Option<RawToken> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next()?;
    let text = if values.next().is_some() { None } else { first.to_str().ok() };
    let bearer = text.and_then(|text| text.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Some(RawToken::new(bearer.map_or("", |(_, token)| token.trim())))
}
