//! Peers: a message counts only where its region's secret made it, for exactly this request.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domicile_types::{RegionId, Secret};
use domicile_wire::WireError;
use domicile_wire::peer::{Signed, Way, sign_reply, sign_request, verify_reply, verify_request};
use http::{HeaderMap, Method};

const NOW_UNIX_MS: u64 = 1_700_000_000_000;
const MINUTE_MS: u64 = 60_000;

fn region() -> RegionId {
    "us-east".parse().unwrap()
}

fn here() -> RegionId {
    "eu-central".parse().unwrap()
}

fn secret() -> Secret {
    Secret::new("us-east's own secret, 32 bytes or more")
}

fn request(body: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let signed = Signed { method: &Method::POST, path: "/v1/peer/fragments", body: body.as_bytes() };
    sign_request(&mut headers, Way { from: &region(), to: &here() }, &secret(), signed, NOW_UNIX_MS, "n-1");
    headers
}

#[track_caller]
fn check(headers: &HeaderMap, method: &Method, path: &str, body: &str, now_unix_ms: u64, expect: Result<&str, &str>) {
    let known = secret();
    let signed = Signed { method, path, body: body.as_bytes() };
    let got = verify_request(headers, &here(), signed, now_unix_ms, |id| (*id == region()).then_some(&known));
    let got = got.map(|caller| caller.nonce).map_err(|error| match error {
        WireError::NotAuthentic { .. } => "not authentic",
        WireError::Stale { .. } => "stale",
        WireError::UnknownPeer { .. } => "unknown",
        _ => "other",
    });
    assert_eq!(got.as_deref(), expect.as_ref().map(|s| *s));
}

#[test]
fn only_the_signed_request_is_authentic() {
    let (headers, path) = (request("{}"), "/v1/peer/fragments");
    check(&headers, &Method::POST, path, "{}", NOW_UNIX_MS, Ok("n-1"));
    check(&headers, &Method::POST, path, "{ }", NOW_UNIX_MS, Err("not authentic"));
    check(&headers, &Method::PUT, path, "{}", NOW_UNIX_MS, Err("not authentic"));
    check(&headers, &Method::POST, "/v1/peer/plugins", "{}", NOW_UNIX_MS, Err("not authentic"));
}

#[test]
fn a_request_to_another_region_is_not_accepted_here() {
    let known = secret();
    let signed = Signed { method: &Method::POST, path: "/v1/peer/fragments", body: b"{}" };
    let elsewhere: RegionId = "ap-south".parse().unwrap();
    let got = verify_request(&request("{}"), &elsewhere, signed, NOW_UNIX_MS, |_| Some(&known));
    assert!(matches!(got, Err(WireError::NotAuthentic { .. })));
}

#[test]
fn old_and_future_requests_are_stale() {
    let (headers, path) = (request("{}"), "/v1/peer/fragments");
    check(&headers, &Method::POST, path, "{}", NOW_UNIX_MS + MINUTE_MS, Ok("n-1"));
    check(&headers, &Method::POST, path, "{}", NOW_UNIX_MS + MINUTE_MS + 1, Err("stale"));
    check(&headers, &Method::POST, path, "{}", NOW_UNIX_MS - MINUTE_MS - 1, Err("stale"));
}

#[test]
fn a_claim_without_the_secret_is_worth_nothing() {
    let path = "/v1/peer/fragments";
    check(&HeaderMap::new(), &Method::POST, path, "{}", NOW_UNIX_MS, Err("unknown"));
    let mut other_region = request("{}");
    other_region.insert("peer-region", "eu-central".parse().unwrap());
    check(&other_region, &Method::POST, path, "{}", NOW_UNIX_MS, Err("unknown"));
    for (name, value) in [("peer-time", "1700000000001"), ("peer-nonce", "n-2"), ("peer-mac", "00"), ("peer-mac", "é")]
    {
        let mut changed = request("{}");
        changed.insert(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        check(&changed, &Method::POST, path, "{}", NOW_UNIX_MS, Err("not authentic"));
    }
}

#[test]
fn a_reply_belongs_to_one_request_one_receipt_and_one_body() {
    let verify = |headers: &HeaderMap, nonce: &str, status: u16, body: &[u8]| {
        verify_reply(headers, &region(), &secret(), nonce, status, body).is_ok()
    };
    let mut headers = HeaderMap::new();
    headers.insert("receipt", "{\"r\":1}".parse().unwrap());
    sign_reply(&mut headers, &secret(), "n-1", 200, "{\"r\":1}", b"body");
    assert!(verify(&headers, "n-1", 200, b"body"));
    assert!(!verify(&headers, "n-2", 200, b"body"));
    assert!(!verify(&headers, "n-1", 503, b"body"));
    assert!(!verify(&headers, "n-1", 200, b"bodY"));
    headers.insert("receipt", "{\"r\":2}".parse().unwrap());
    assert!(!verify(&headers, "n-1", 200, b"body"));
}

#[test]
fn a_secret_is_never_printed() {
    assert_eq!(format!("{:?}", secret()), "Secret(..)");
}
