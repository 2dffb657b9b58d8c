//! The section `[policies]` of a region's file: whose policies count here.

use domicile_types::limits::POLICY_KEYS_MAX;
use serde::Deserialize;

use crate::region::Source;
use crate::strict::{Parsed, Spanned};
use crate::{ConfigError, PublicKey};

/// Whose policies a region takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies {
    /// Public keys, one of which has to have signed each policy file; none where files are taken without a signature.
    /// Never empty.
    pub trusted_keys: Option<Vec<PublicKey>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPolicies {
    trusted_keys: Option<Spanned<Vec<Parsed<PublicKey>>>>,
}

impl Policies {
    pub(crate) fn check(raw: RawPolicies, source: &Source<'_>) -> Result<Self, ConfigError> {
        let Some(keys) = raw.trusted_keys else { return Ok(Self::default()) };
        let at = source.at(keys.span().start);
        let keys: Vec<PublicKey> = keys.into_inner().into_iter().map(|Parsed(key)| key).collect();
        match keys.len() {
            // No policy could ever be signed for it.
            0 => Err(ConfigError::Empty { at, key: "trusted_keys" }),
            1..=POLICY_KEYS_MAX => Ok(Self { trusted_keys: Some(keys) }),
            _ => Err(ConfigError::Invalid {
                at,
                problem: format!("`trusted_keys` has more than {POLICY_KEYS_MAX} keys"),
            }),
        }
    }
}
