//! Whose policies count in a region.

use domicile_policy::PolicyHead;
use domicile_wire::receipt::sha256;
use domicile_wire::signature::{Envelope, PolicyStatement, public_key_text};
use ed25519_dalek::VerifyingKey;

use crate::QueryError;

/// Whose policies count in a region.
#[derive(Debug, Clone, Default)]
pub struct PolicyTrust {
    /// Keys, one of which has to have signed each file; none where files count without a signature.
    pub keys: Option<Vec<VerifyingKey>>,
}

/// What a trusted key stands for.
pub(crate) struct Signed {
    statement: PolicyStatement,
    /// The key, as text.
    pub(crate) key: String,
}

impl PolicyTrust {
    /// What a trusted key says of exactly this text; none where no signature is needed. Nothing of the text is read.
    ///
    /// # Errors
    /// Where a signature is needed, and is missing or over something else.
    pub(crate) fn check(&self, file: &str, text: &str, signature: Option<&[u8]>) -> Result<Option<Signed>, QueryError> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let Some(signature) = signature else {
            let detail = format!(
                "there is no {file}.sig, and this region takes signed policies only; sign the file with `domicile policy \
                 sign {file} --key KEY`"
            );
            return Err(refused(file, &detail));
        };
        let signed = Envelope::from_json(signature).and_then(|envelope| {
            let (statement, key) = envelope.verify::<PolicyStatement>(keys)?;
            Ok(Signed { statement, key: public_key_text(key) })
        });
        let signed = signed.map_err(|error| refused(file, &error.to_string()))?;
        let digest = sha256(text.as_bytes()).to_string();
        if signed.statement.sha256 == digest {
            return Ok(Some(signed));
        }
        let other = &signed.statement.sha256;
        Err(refused(
            file,
            &format!("the signature is over a text with sha256 {other}, and this one has {digest}; sign it again"),
        ))
    }
}

impl Signed {
    /// Holds where the text says of itself what the key says of it.
    ///
    /// # Errors
    /// Where the signature names another dataset or version.
    pub(crate) fn is_over(&self, file: &str, head: &PolicyHead) -> Result<(), QueryError> {
        let PolicyStatement { dataset, version, .. } = &self.statement;
        if (dataset.as_str(), *version) == (head.dataset.as_str(), head.version) {
            return Ok(());
        }
        let detail =
            format!("the signature is over version {version} of the policy of `{dataset}`; sign the file again");
        Err(refused(file, &detail))
    }
}

fn refused(file: &str, detail: &str) -> QueryError {
    QueryError::PoliciesRefused { detail: format!("{file} is not accepted: {detail}") }
}
