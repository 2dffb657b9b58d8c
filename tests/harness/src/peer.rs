//! What a region could ask of another once it was taken over: it holds its secret, and keeps to nothing else.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Cluster, Response};

const PATH: &str = "/v1/peer/fragments";

/// Who asks whom.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The region whose secret signs.
    pub from: &'a str,
    /// The region asked.
    pub to: &'a str,
}

/// Asks a region for a fragment, properly signed.
///
/// # Errors
/// Where there is no secret, or the region cannot be reached.
pub fn ask(cluster: &Cluster, way: Way<'_>, fragment: &Value) -> Result<Response> {
    let body = fragment.to_string();
    send(cluster, way, body.as_bytes(), body.as_bytes())
}

/// Signs one body and sends another.
///
/// # Errors
/// As for [`ask`].
pub fn send(cluster: &Cluster, way: Way<'_>, signed: &[u8], sent: &[u8]) -> Result<Response> {
    deliver(cluster, way.to, &signature(cluster, way, signed)?, sent)
}

/// Sends a body with headers that say who asks, whoever it is.
///
/// # Errors
/// Where the region cannot be reached.
pub fn deliver(cluster: &Cluster, to: &str, headers: &[(&str, String)], sent: &[u8]) -> Result<Response> {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    cluster.edge(to).send("POST", PATH, &headers, sent)
}

/// The headers that prove that a region asks for a fragment now.
///
/// # Errors
/// Where there is no secret.
pub fn signature(cluster: &Cluster, way: Way<'_>, signed: &[u8]) -> Result<Vec<(&'static str, String)>> {
    signature_for(cluster, way, ("POST", PATH), signed)
}

/// The same for any method and path.
///
/// # Errors
/// As for [`signature`].
pub fn signature_for(
    cluster: &Cluster,
    way: Way<'_>,
    (method, path): (&str, &str),
    signed: &[u8],
) -> Result<Vec<(&'static str, String)>> {
    let secret = std::fs::read(&cluster.file(way.from).secret_file).context("no secret")?;
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();
    let nonce = hex(&Sha256::digest([time.as_bytes(), signed].concat()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.trim_ascii())?;
    let digest = Sha256::digest(signed);
    let texts = ["request", way.from, way.to, &time, &nonce, method, path].map(str::as_bytes);
    for part in texts.into_iter().chain([digest.as_slice()]) {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    let mac = hex(&mac.finalize().into_bytes());
    Ok(vec![("peer-region", way.from.to_owned()), ("peer-time", time), ("peer-nonce", nonce), ("peer-mac", mac)])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
