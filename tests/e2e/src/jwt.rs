//! Tokens of every make, also such as the command line does not make.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The header of a good token.
pub fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt"})
}

/// The claims of a good token of somebody in the USA, with some of them changed; those that become null are left out.
///
/// # Errors
/// Where the system has no time.
pub fn claims(changes: &Value) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut claims = json!({
        "iss": "tests", "sub": "alice", "aud": "domicile", "iat": now, "exp": now + 3600, "jurisdictions": ["US"],
    });
    let members = claims.as_object_mut().context("an object")?;
    members.extend(changes.as_object().context("an object")?.clone());
    members.retain(|_, value| !value.is_null());
    Ok(claims)
}

fn signed_part(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A token signed with the key of a PEM file.
///
/// # Errors
/// Where there is no such key.
pub fn signed(header: &Value, claims: &Value, key: &Path) -> Result<String> {
    let key = SigningKey::from_pkcs8_pem(&std::fs::read_to_string(key)?).context("no key")?;
    let signed = signed_part(header, claims);
    Ok(format!("{signed}.{}", BASE64_URL.encode(key.sign(signed.as_bytes()).to_bytes())))
}

/// A token without a signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.", signed_part(header, claims))
}

/// A token with HMAC-SHA256 under `secret`.
///
/// # Errors
/// Where the secret cannot be one.
pub fn with_mac(header: &Value, claims: &Value, secret: &[u8]) -> Result<String> {
    let signed = signed_part(header, claims);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)?;
    mac.update(signed.as_bytes());
    Ok(format!("{signed}.{}", BASE64_URL.encode(mac.finalize().into_bytes())))
}

/// The token with other claims under its old signature.
///
/// # Errors
/// Where it is no token.
pub fn with_claims(token: &str, claims: &Value) -> Result<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, _, signature] = parts.as_slice() else { anyhow::bail!("no three parts") };
    Ok(format!("{header}.{}.{signature}", BASE64_URL.encode(claims.to_string())))
}
