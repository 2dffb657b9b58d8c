//! The section `[plugins]` of a region's file: whose plugins run here.

use std::net::SocketAddr;

use domicile_types::limits::PLUGIN_KEYS_MAX;
use serde::Deserialize;

use crate::ConfigError;
use crate::public_key::PublicKey;
use crate::region::Source;
use crate::strict::{Parsed, Spanned};

/// Whose plugins a region runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plugins {
    /// Public keys whose signatures count.
    pub trusted_keys: Vec<PublicKey>,
    /// Whether plugins without a signature run too. Only where the front door is on the loopback address.
    pub allow_unsigned: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPlugins {
    #[serde(default)]
    trusted_keys: Vec<Spanned<Parsed<PublicKey>>>,
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
