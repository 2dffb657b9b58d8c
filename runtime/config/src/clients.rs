//! The section `[clients]` of a region's file: who may ask here.

use std::net::SocketAddr;

use domicile_types::limits::CLIENT_KEYS_MAX;
use serde::Deserialize;

use crate::ConfigError;
use crate::public_key::PublicKey;
use crate::region::Source;
use crate::strict::{Parsed, Spanned};

/// Whom a region answers, besides its peers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clients {
    /// Public keys whose signatures under clients' tokens count.
    pub trusted_keys: Vec<PublicKey>,
    /// Whether clients without a token are answered too, as if they stood in the region whose edge they ask. Only
    /// where the front door is on the loopback address.
    pub allow_anonymous: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClients {
    #[serde(default)]
    trusted_keys: Vec<Spanned<Parsed<PublicKey>>>,
    allow_anonymous: Option<Spanned<bool>>,
}

impl Clients {
    pub(crate) fn check(raw: RawClients, source: &Source<'_>, listen: SocketAddr) -> Result<Self, ConfigError> {
        if let Some(surplus) = raw.trusted_keys.get(CLIENT_KEYS_MAX) {
            let problem = format!("`trusted_keys` has more than {CLIENT_KEYS_MAX} keys");
            return Err(ConfigError::Invalid { at: source.at(surplus.span().start), problem });
        }
        let allow_anonymous = raw.allow_anonymous.as_ref().is_some_and(|allow| *allow.get_ref());
        if let Some(allow) = raw.allow_anonymous.as_ref().filter(|_| allow_anonymous && !listen.ip().is_loopback()) {
            return Err(ConfigError::AnonymousExposed { at: source.at(allow.span().start), listen });
        }
        let trusted_keys = raw.trusted_keys.into_iter().map(|key| key.into_inner().0).collect();
        Ok(Self { trusted_keys, allow_anonymous })
    }
}
