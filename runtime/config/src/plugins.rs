//! The section `[plugins]` of a region's file: whose plugins run here.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use domicile_types::limits::PLUGIN_KEYS_MAX;
use serde::Deserialize;

use crate::ConfigError;
use crate::region::Source;
use crate::strict::{Parsed, Spanned};

/// What comes before the base64 text of a key.
const ALGORITHM: &str = "ed25519:";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whose plugins a region runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plugins {
    /// Public keys whose signatures count.
    pub trusted_keys: Vec<PluginKey>,
    /// Whether plugins without a signature run too. Only where the front door is on the loopback address.
    pub allow_unsigned: bool,
}

/// The bytes of an ed25519 public key, written `ed25519:` and base64. Whether they are a point of the curve is left to
/// those who check signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginKey(pub [u8; 32]);

/// The text is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a public key; write `ed25519:` and 32 bytes as base64, the line that `domicile plugin key new` prints"
)]
pub struct PluginKeyError {
    text: String,
}

impl FromStr for PluginKey {
    type Err = PluginKeyError;

    fn from_str(text: &str) -> Result<Self, PluginKeyError> {
        let bytes = text.strip_prefix(ALGORITHM).and_then(|text| BASE64.decode(text).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| PluginKeyError { text: text.to_owned() })
    }
}

impl fmt::Display for PluginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", BASE64.encode(self.0))
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPlugins {
    #[serde(default)]
    trusted_keys: Vec<Spanned<Parsed<PluginKey>>>,
    allow_unsigned: Option<Spanned<bool>>,
}

impl Plugins {
    pub(crate) fn check(raw: RawPlugins, source: &Source<'_>, listen: SocketAddr) -> Result<Self, ConfigError> {
        if let Some(surplus) = raw.trusted_keys.get(PLUGIN_KEYS_MAX) {
            let problem = format!("`trusted_keys` has more than {PLUGIN_KEYS_MAX} keys");
            return Err(ConfigError::Invalid { at: source.at(surplus.span().start), problem });
        }
        let allow_unsigned = raw.allow_unsigned.as_ref().is_some_and(|allow| *allow.get_ref());
        if let Some(allow) = raw.allow_unsigned.as_ref().filter(|_| allow_unsigned && !listen.ip().is_loopback()) {
            return Err(ConfigError::UnsignedExposed { at: source.at(allow.span().start), listen });
        }
        let trusted_keys = raw.trusted_keys.into_iter().map(|key| key.into_inner().0).collect();
        Ok(Self { trusted_keys, allow_unsigned })
    }
}
