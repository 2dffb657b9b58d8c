//! Clients' tokens: a JSON Web Token (RFC 7519) in one form only, as RFC 8725 advises. The algorithm is EdDSA over
//! ed25519 and is never taken from the token; what is not known here is refused, not ignored.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use domicile_types::limits::{TOKEN_BYTES_MAX, TOKEN_CLOCK_SKEW_MAX, TOKEN_ITEMS_MAX, TOKEN_TEXT_BYTES_MAX};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// The audience of every token: who it is for.
pub const TOKEN_AUDIENCE: &str = "domicile";
const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "at+jwt";

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Ask questions, and see the receipts of one's own.
    Query,
    /// Store and delete rows.
    Load,
    /// Plugins, releases, backups, partitions, audit, metrics.
    Operate,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Query, Self::Load, Self::Operate];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Query => "query",
            Self::Load => "load",
            Self::Operate => "operate",
        })
    }
}

/// The text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a role; there are `query`, `load` and `operate`")]
pub struct RoleError {
    text: String,
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let role = Self::ALL.into_iter().find(|role| role.to_string() == text);
        role.ok_or_else(|| RoleError { text: text.to_owned() })
    }
}

/// A token as it travels. Whoever has it may ask as its client, so it is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawToken(String);

impl RawToken {
    /// The token of this text, whatever it holds.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RawToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawToken(…)")
    }
}

/// For whom a token is: a text, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One text.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What a token says of its client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who made the token.
    pub iss: String,
    /// Whose it is.
    pub sub: String,
    /// For whom it is; [`TOKEN_AUDIENCE`] among them.
    pub aud: Audience,
    /// When it ends, in seconds since 1970-01-01 UTC.
    pub exp: u64,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub iat: u64,
    /// From when on it holds; at once where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Its own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Who shares an interest in what is learnt; the subject alone where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Whose law holds where the client stands, for example `EU` and `DE`. Never empty.
    pub jurisdictions: Vec<String>,
    /// What answers may be for; anything where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purposes: Option<Vec<String>>,
    /// What the client may do; `query` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

impl Claims {
    /// Claims of a subject that stands in these jurisdictions, from `iat` until `exp` (seconds since 1970-01-01 UTC),
    /// and nothing else.
    pub fn new(iss: impl Into<String>, sub: impl Into<String>, jurisdictions: Vec<String>, iat: u64, exp: u64) -> Self {
        Self {
            iss: iss.into(),
            sub: sub.into(),
            aud: Audience::One(TOKEN_AUDIENCE.to_owned()),
            exp,
            iat,
            nbf: None,
            jti: None,
            tenant: None,
            jurisdictions,
            purposes: None,
            roles: None,
        }
    }

    /// Who shares an interest in what this client learns.
    pub fn tenant(&self) -> &str {
        self.tenant.as_deref().unwrap_or(&self.sub)
    }

    /// What the client may do.
    pub fn roles(&self) -> &[Role] {
        self.roles.as_deref().unwrap_or(&[Role::Query])
    }

    /// Checks that the claims are such as a token may have, whatever the time.
    ///
    /// # Errors
    /// Names the first claim that is not.
    pub fn check(&self) -> Result<(), TokenError> {
        let audiences = match &self.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Several(several) => several,
        };
        if !audiences.iter().any(|audience| audience == TOKEN_AUDIENCE) {
            return Err(TokenError::Audience);
        }
        texts("iss", std::slice::from_ref(&self.iss))?;
        texts("sub", std::slice::from_ref(&self.sub))?;
        texts("aud", audiences)?;
        texts("jti", self.jti.as_slice())?;
        texts("tenant", self.tenant.as_slice())?;
        texts("purposes", self.purposes.as_deref().unwrap_or_default())?;
        texts("jurisdictions", &self.jurisdictions)?;
        if self.jurisdictions.is_empty() {
            return Err(TokenError::Claim { claim: "jurisdictions", problem: "is empty" });
        }
        if self.roles.as_ref().is_some_and(|roles| roles.len() > TOKEN_ITEMS_MAX) {
            return Err(TokenError::Claim { claim: "roles", problem: "has too many items" });
        }
        if self.exp <= self.iat {
            return Err(TokenError::Claim { claim: "exp", problem: "is not after `iat`" });
        }
        Ok(())
    }

    fn check_time(&self, now_unix_s: u64) -> Result<(), TokenError> {
        if now_unix_s >= self.exp {
            return Err(TokenError::Expired);
        }
        let starts = self.nbf.unwrap_or_default().max(self.iat);
        if starts > now_unix_s.saturating_add(TOKEN_CLOCK_SKEW_MAX.as_secs()) {
            return Err(TokenError::Early);
        }
        Ok(())
    }
}

fn texts(claim: &'static str, texts: &[String]) -> Result<(), TokenError> {
    let refused = |problem| Err(TokenError::Claim { claim, problem });
    if texts.len() > TOKEN_ITEMS_MAX {
        return refused("has too many items");
    }
    if texts.iter().any(|text| text.trim().is_empty()) {
        return refused("has an empty text");
    }
    if texts.iter().any(|text| text.len() > TOKEN_TEXT_BYTES_MAX || text.chars().any(char::is_control)) {
        return refused("has a text that is too long, or has control characters");
    }
    Ok(())
}

/// Why a token is not accepted. Those who sent it are told only that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not in the agreed form.
    #[error("the token cannot be read: {0}")]
    Malformed(&'static str),
    /// It is of another type, or signed by another algorithm.
    #[error("the token's header is not that of a token for Domicile, which has `alg` `{ALGORITHM}` and `typ` `{TYPE}`")]
    Header,
    /// None of the trusted keys signed it.
    #[error("none of the trusted keys signed the token")]
    Signature,
    /// A claim is missing, unknown or of another type.
    #[error("the token's claims cannot be read: {0}")]
    Claims(String),
    /// A claim with a value that it cannot have.
    #[error("the token's claim `{claim}` {problem}")]
    Claim {
        /// The claim.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is for somebody else.
    #[error("the token is not for the audience `{TOKEN_AUDIENCE}`")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token does not hold yet")]
    Early,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    /// A hint at the key; it proves nothing and is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
}

/// Makes a token of the claims.
///
/// # Errors
/// Where no region would accept such claims.
pub fn sign(claims: &Claims, key: &SigningKey) -> Result<RawToken, TokenError> {
    claims.check()?;
    let header = Header { alg: ALGORITHM.to_owned(), typ: TYPE.to_owned(), kid: None };
    // Texts, numbers and lists of them always serialize.
    let part = |json: serde_json::Result<Vec<u8>>| BASE64_URL.encode(json.unwrap_or_default());
    let signed = format!("{}.{}", part(serde_json::to_vec(&header)), part(serde_json::to_vec(claims)));
    let token = format!("{signed}.{}", BASE64_URL.encode(key.sign(signed.as_bytes()).to_bytes()));
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed("it would have too many bytes; name fewer jurisdictions and purposes"));
    }
    Ok(RawToken(token))
}

/// The three parts of a token: what is signed, with its claims apart, and the signature.
struct Parts<'t> {
    signed: &'t str,
    claims: Vec<u8>,
    signature: Signature,
}

fn parts(token: &str) -> Result<Parts<'_>, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed("it has too many bytes"));
    }
    let decode = |part: &str| BASE64_URL.decode(part).map_err(|_| TokenError::Malformed("a part is not base64url"));
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Header)?;
    if header.alg != ALGORITHM || header.typ != TYPE {
        return Err(TokenError::Header);
    }
    let signature =
        decode(signature)?.try_into().map_err(|_| TokenError::Malformed("its signature has no 64 bytes"))?;
    Ok(Parts { signed, claims: decode(claims)?, signature: Signature::from_bytes(&signature) })
}

fn read(claims: &[u8]) -> Result<Claims, TokenError> {
    let claims: Claims = serde_json::from_slice(claims).map_err(|e| TokenError::Claims(e.to_string()))?;
    claims.check()?;
    Ok(claims)
}

/// The claims of a token that one of `trusted` signed and that holds now.
///
/// # Errors
/// Where none did, it does not hold, or it is not in the one agreed form. Nothing of the claims is read before a
/// trusted key stands for them.
pub fn verify(token: &RawToken, trusted: &[VerifyingKey], now_unix_s: u64) -> Result<Claims, TokenError> {
    let parts = parts(&token.0)?;
    let signed = |key: &&VerifyingKey| key.verify_strict(parts.signed.as_bytes(), &parts.signature).is_ok();
    trusted.iter().find(signed).ok_or(TokenError::Signature)?;
    let claims = read(&parts.claims)?;
    claims.check_time(now_unix_s)?;
    Ok(claims)
}

/// What a token says, believed by nobody: for showing it.
///
/// # Errors
/// Where it is not in the agreed form.
pub fn unverified(token: &RawToken) -> Result<Claims, TokenError> {
    read(&parts(&token.0)?.claims)
}
