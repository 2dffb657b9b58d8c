//! What other regions ask. Every request is checked against its region's secret before anything is done, and every
//! reply is signed with this region's. Over TLS, the certificate has to be of the same region.

use std::future::Future;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use domicile_query::{FragmentReply, QueryError, answer, explain_fragment, take_from};
use domicile_types::RegionId;
use domicile_types::limits::BODY_BYTES_MAX;
use domicile_wire::api::{FragmentRequest, header};
use domicile_wire::client::now_unix_ms;
use domicile_wire::peer::{Signed, sign_reply, verify_request};
use domicile_wire::{Problem, WireError};

use crate::peer_door::Certified;
use crate::problems::Refusal;
use crate::serve::{Edge, Handled, Shared};

/// A reply before it is signed.
pub(crate) struct Reply {
    receipt: String,
    body: Vec<u8>,
}

impl From<Vec<u8>> for Reply {
    fn from(body: Vec<u8>) -> Self {
        Self { receipt: String::new(), body }
    }
}

/// Checks who asks, then does `work`, then signs what comes of it, refusals included.
pub(crate) async fn signed<W>(
    edge: &Edge,
    request: Request<Body>,
    limit: usize,
    work: impl FnOnce(RegionId, Bytes) -> W,
) -> Handled
where
    W: Future<Output = Result<Reply, Refusal>>,
{
    let (parts, body) = request.into_parts();
    let body = edge.whole(body, limit).await?;
    let region = &edge.region;
    let caller = verify_request(&parts.headers, region.id(), covered(&parts, &body), now_unix_ms(), |id| {
        region.peers().iter().find(|peer| peer.id == *id).map(|peer| &peer.secret)
    });
    let caller = caller.map_err(QueryError::from)?;
    let reply = match parts.extensions.get::<Certified>() {
        Some(Certified(shown)) if *shown != caller.region => {
            let other = WireError::CertificateOfOther { signer: caller.region, shown: shown.clone() };
            Err(QueryError::from(other).into())
        }
        _ => work(caller.region, body).await,
    };
    let (receipt, response) = match reply {
        Ok(reply) => (reply.receipt, Bytes::from(reply.body).into_response()),
        Err(refusal) => (String::new(), refusal.into_response()),
    };
    let (mut head, body) = response.into_parts();
    let body = edge.whole(body, usize::MAX).await?;
    if let Ok(value) = HeaderValue::from_str(&receipt) {
        head.headers.insert(header::RECEIPT, value);
    }
    sign_reply(&mut head.headers, region.secret(), &caller.nonce, head.status.as_u16(), &receipt, &body);
    Ok(Response::from_parts(head, Body::from(body)))
}

fn covered<'p>(parts: &'p Parts, body: &'p Bytes) -> Signed<'p> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    Signed { method: &parts.method, path, body }
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(|e| Refusal::from(QueryError::Execution(e.to_string())))
}

/// `POST /v1/peer/fragments`
pub(crate) async fn fragment(State(edge): Shared, request: Request<Body>) -> Handled {
    let work = async |caller: RegionId, body: Bytes| {
        let request: FragmentRequest = serde_json::from_slice(&body)
            .map_err(|e| Refusal::bad_request(format!("the body is not a fragment: {e}")))?;
        if request.explain {
            return Ok(encode(&explain_fragment(&edge.region, &caller, request).await?)?.into());
        }
        let FragmentReply { facts, body } = answer(&edge.region, &caller, request).await?;
        let receipt = facts.to_header().map_err(|e| QueryError::Execution(e.to_string()))?;
        Ok(Reply { receipt, body })
    };
    signed(&edge, request, BODY_BYTES_MAX, work).await
}

/// `GET /v1/peer/plugins`
pub(crate) async fn plugins(State(edge): Shared, request: Request<Body>) -> Handled {
    signed(&edge, request, 0, async |_, _| Ok(encode(edge.region.plugins().state())?.into())).await
}

/// `POST /v1/peer/plugins/compare`
pub(crate) async fn compare(State(edge): Shared, request: Request<Body>) -> Handled {
    let work = async |caller: RegionId, _| Ok(encode(&take_from(&edge.region, &caller).await?)?.into());
    signed(&edge, request, 0, work).await
}

/// `GET /v1/peer/plugins/components/{sha256}`
pub(crate) async fn component(State(edge): Shared, Path(sha256): Path<String>, request: Request<Body>) -> Handled {
    signed(&edge, request, 0, async |_, _| Ok(edge.region.component(&sha256).await?.into())).await
}

/// `GET /v1/peer/ping`
pub(crate) async fn ping(State(edge): Shared, request: Request<Body>) -> Handled {
    signed(&edge, request, 0, async |_, _| Ok(Vec::new().into())).await
}

/// Whatever peers ask, where they are to ask at a door of their own. A peer is told so in a reply that it believes.
pub(crate) async fn elsewhere(State(edge): Shared, request: Request<Body>) -> Response {
    let told = || {
        Refusal::new(Problem::new(
            421,
            "peers-elsewhere",
            "Peers ask elsewhere",
            "this region answers its peers over mutual TLS only, at the address in `peers` of [listen] in its file; \
             correct the `url` that the asking region has for it",
        ))
    };
    let answer = signed(&edge, request, BODY_BYTES_MAX, async |_, _| Err(told())).await;
    answer.unwrap_or_else(|_| told().into_response())
}
