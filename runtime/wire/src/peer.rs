//! How regions recognize each other: every request carries an HMAC-SHA256 under the caller's secret, every reply one
//! under the answerer's. The secrets never travel.

use domicile_types::limits::PEER_REQUEST_AGE_MAX;
use domicile_types::{RegionId, Secret};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method};
use sha2::Sha256;

use crate::WireError;
use crate::receipt::sha256;

const REGION: &str = "peer-region";
const TIME: &str = "peer-time";
const NONCE: &str = "peer-nonce";
const MAC: &str = "peer-mac";

/// HMAC over parts, each with its length, so that no two lists of parts give the same bytes.
fn authenticate(secret: &Secret, parts: &[&[u8]]) -> Hmac<Sha256> {
    // HMAC accepts keys of every length, so the empty fallback is never used.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).unwrap_or_else(|_| Hmac::new(&Default::default()));
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac
}

/// What a signature covers besides time and nonce.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// HTTP method.
    pub method: &'a Method,
    /// Path and query.
    pub path: &'a str,
    /// Whole body.
    pub body: &'a [u8],
}

/// Who asks whom. A signature holds for one destination only.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The asking region.
    pub from: &'a RegionId,
    /// The region asked.
    pub to: &'a RegionId,
}

/// Signs a request into `headers`. `nonce` must not repeat within the accepted age of a request.
pub fn sign_request(
    headers: &mut HeaderMap,
    way: Way<'_>,
    secret: &Secret,
    signed: Signed<'_>,
    now_unix_ms: u64,
    nonce: &str,
) {
    let time = now_unix_ms.to_string();
    let mac = request_mac(secret, way, &time, nonce, signed);
    insert(headers, REGION, way.from.as_str());
    insert(headers, TIME, &time);
    insert(headers, NONCE, nonce);
    insert(headers, MAC, &hex(&mac.finalize().into_bytes()));
}

/// The region that a request claims to come from and the nonce that its reply is to be signed with.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The region.
    pub region: RegionId,
    /// The nonce.
    pub nonce: String,
}

/// Checks a request to the region `here` against the secret that `secret_of` knows for its region.
///
/// # Errors
/// Where the region is unknown, the clocks differ too much, or the signature does not fit.
pub fn verify_request<'s>(
    headers: &HeaderMap,
    here: &RegionId,
    signed: Signed<'_>,
    now_unix_ms: u64,
    secret_of: impl FnOnce(&RegionId) -> Option<&'s Secret>,
) -> Result<Caller, WireError> {
    let claimed = text(headers, REGION);
    let region: RegionId = claimed.parse().map_err(|_| WireError::UnknownPeer { region: claimed.to_owned() })?;
    let secret = secret_of(&region).ok_or_else(|| WireError::UnknownPeer { region: claimed.to_owned() })?;
    let not_authentic = || WireError::NotAuthentic { region: claimed.to_owned() };
    let (time, nonce) = (text(headers, TIME), text(headers, NONCE));
    let mac = unhex(text(headers, MAC)).ok_or_else(not_authentic)?;
    let way = Way { from: &region, to: here };
    request_mac(secret, way, time, nonce, signed).verify_slice(&mac).map_err(|_| not_authentic())?;
    let sent: u64 = time.parse().map_err(|_| not_authentic())?;
    let age_ms = now_unix_ms.abs_diff(sent);
    if u128::from(age_ms) > PEER_REQUEST_AGE_MAX.as_millis() {
        return Err(WireError::Stale { region: claimed.to_owned(), age_ms });
    }
    Ok(Caller { region, nonce: nonce.to_owned() })
}

fn request_mac(secret: &Secret, way: Way<'_>, time: &str, nonce: &str, signed: Signed<'_>) -> Hmac<Sha256> {
    let parts = [
        b"request".as_slice(),
        way.from.as_str().as_bytes(),
        way.to.as_str().as_bytes(),
        time.as_bytes(),
        nonce.as_bytes(),
        signed.method.as_str().as_bytes(),
        signed.path.as_bytes(),
        &sha256(signed.body).0,
    ];
    authenticate(secret, &parts)
}

fn reply_mac(secret: &Secret, nonce: &str, status: u16, receipt: &str, body: &[u8]) -> Hmac<Sha256> {
    let status = status.to_string();
    authenticate(secret, &[b"reply", nonce.as_bytes(), status.as_bytes(), receipt.as_bytes(), &sha256(body).0])
}

/// Signs the reply to the request that carried `nonce`. `receipt` is the `Receipt` header, empty where there is none.
pub fn sign_reply(headers: &mut HeaderMap, secret: &Secret, nonce: &str, status: u16, receipt: &str, body: &[u8]) {
    let mac = reply_mac(secret, nonce, status, receipt, body).finalize().into_bytes();
    insert(headers, MAC, &hex(&mac));
}

/// Checks that a reply was made by the region that owns `secret`, for the request that carried `nonce`.
///
/// # Errors
/// Where the signature is missing or does not fit.
pub fn verify_reply(
    headers: &HeaderMap,
    region: &RegionId,
    secret: &Secret,
    nonce: &str,
    status: u16,
    body: &[u8],
) -> Result<(), WireError> {
    let receipt = text(headers, crate::api::header::RECEIPT);
    unhex(text(headers, MAC))
        .and_then(|mac| reply_mac(secret, nonce, status, receipt, body).verify_slice(&mac).ok())
        .ok_or_else(|| WireError::NotAuthentic { region: region.to_string() })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Region ids, digits and hexadecimal are always valid header values.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
