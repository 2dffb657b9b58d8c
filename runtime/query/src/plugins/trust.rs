//! Whose plugins run in a region.

use domicile_types::{Digest, PluginName};
use domicile_wire::signature::{Envelope, PluginStatement, public_key_text};
use ed25519_dalek::VerifyingKey;

use crate::QueryError;

/// Whose plugins run in a region.
#[derive(Debug, Clone, Default)]
pub struct PluginTrust {
    /// Keys whose signatures count.
    pub keys: Vec<VerifyingKey>,
    /// Whether plugins without a signature run too.
    pub allow_unsigned: bool,
}

impl PluginTrust {
    /// The trusted key, as text, that signed exactly this name, version and content; none where there is no signature
    /// and none is needed.
    ///
    /// # Errors
    /// Where a signature is needed and missing, or the one that came proves nothing of the kind.
    pub(crate) fn check(
        &self,
        name: &PluginName,
        version: &str,
        digest: &Digest,
        envelope: Option<&Envelope>,
    ) -> Result<Option<String>, QueryError> {
        let refused = |detail: String| QueryError::SignatureRefused {
            name: name.to_string(),
            version: version.chars().take(80).collect(),
            detail,
        };
        let Some(envelope) = envelope else {
            let detail = "it has no signature, and this region runs signed plugins only; make a key with \
                          `domicile plugin key new FILE`, add its public line to `trusted_keys` in [plugins] of the \
                          region's file, and deploy with `--key FILE`";
            return if self.allow_unsigned { Ok(None) } else { Err(refused(detail.to_owned())) };
        };
        let (signed, key) =
            envelope.verify::<PluginStatement>(&self.keys).map_err(|error| refused(error.to_string()))?;
        let expected =
            PluginStatement { name: name.to_string(), version: version.to_owned(), sha256: digest.to_string() };
        if signed == expected {
            return Ok(Some(public_key_text(key)));
        }
        let what = if (&signed.name, &signed.version) == (&expected.name, &expected.version) {
            format!("the component with sha256 {}, and this one has {}", signed.sha256, expected.sha256)
        } else {
            format!("`{}` {}", signed.name, signed.version)
        };
        Err(refused(format!("the signature is over {what}; sign what you deploy, with `domicile plugin deploy --key`")))
    }
}
