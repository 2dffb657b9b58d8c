//! The header `Content-Digest` (RFC 9530): that a body is what was sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::receipt::sha256;

/// The algorithm that is read and written here.
const ALGORITHM: &str = "sha-256";

/// Why a body is not taken for what its header says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentDigestError {
    /// The header is in another form, or has other algorithms only.
    #[error(
        "`Content-Digest` has no digest that can be checked here; write sha-256=:…: with the base64 text between colons"
    )]
    Unreadable,
    /// The body is another one.
    #[error(
        "the body has the digest {actual}, and `Content-Digest` says {claimed}; it was changed on its way, send it again"
    )]
    Mismatch {
        /// What the header says.
        claimed: String,
        /// What the body has.
        actual: String,
    },
}

/// The value of the header for a body.
pub fn content_digest(body: &[u8]) -> String {
    format!("{ALGORITHM}=:{}:", BASE64.encode(sha256(body).0))
}

/// Checks a body against the value of its header.
///
/// # Errors
/// Where the header has no SHA-256 digest, or the body another one.
pub fn check_content_digest(header: &str, body: &[u8]) -> Result<(), ContentDigestError> {
    let mut members = header.split(',').filter_map(|member| member.split_once('='));
    // Of a key that comes twice, the last one counts.
    let value = members.rfind(|(key, _)| key.trim() == ALGORITHM).map(|(_, value)| value);
    let value = value.and_then(|value| value.split(';').next()).map(str::trim);
    let text = value.and_then(|value| value.strip_prefix(':')?.strip_suffix(':'));
    let claimed = text.and_then(|text| BASE64.decode(text).ok()).ok_or(ContentDigestError::Unreadable)?;
    if claimed == sha256(body).0 {
        return Ok(());
    }
    let claimed = format!("{ALGORITHM}=:{}:", BASE64.encode(claimed));
    Err(ContentDigestError::Mismatch { claimed, actual: content_digest(body) })
}
