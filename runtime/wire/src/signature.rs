//! Signatures over plugins and policies: a Dead Simple Signing Envelope (DSSE) around a statement of name, version and
//! digest.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use domicile_types::limits::{PLUGIN_ENVELOPE_BYTES_MAX, PLUGIN_SIGNATURES_MAX};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the payload of a plugin's envelope is.
pub const PLUGIN_PAYLOAD_TYPE: &str = "application/vnd.domicile.plugin.v1+json";
/// What the payload of a policy's envelope is.
pub const POLICY_PAYLOAD_TYPE: &str = "application/vnd.domicile.policy.v1+json";

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, EITHER_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, EITHER_PADDING);

/// What signatures are over.
pub trait Statement: Serialize + DeserializeOwned {
    /// What a payload with it is.
    const PAYLOAD_TYPE: &'static str;
    /// What it is about, in words.
    const ABOUT: &'static str;
    /// The section of a region's file whose `trusted_keys` count for it.
    const SECTION: &'static str;
}

/// What a signature says: this name and version is this component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginStatement {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, hexadecimal.
    pub sha256: String,
}

impl Statement for PluginStatement {
    const PAYLOAD_TYPE: &'static str = PLUGIN_PAYLOAD_TYPE;
    const ABOUT: &'static str = "a plugin";
    const SECTION: &'static str = "[plugins]";
}

/// What a signature says: this version of the dataset's policy is this text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyStatement {
    /// The dataset.
    pub dataset: String,
    /// The version that the text gives itself.
    pub version: u32,
    /// SHA-256 of the text, hexadecimal.
    pub sha256: String,
}

impl Statement for PolicyStatement {
    const PAYLOAD_TYPE: &'static str = POLICY_PAYLOAD_TYPE;
    const ABOUT: &'static str = "a policy";
    const SECTION: &'static str = "[policies]";
}

/// A signed statement, as DSSE writes it in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The payload, base64.
    pub payload: String,
    /// Signatures over the type and the payload.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// A hint at the key; here its public half, as [`public_key_text`] writes it. It proves nothing.
    #[serde(default)]
    pub keyid: String,
    /// The signature, base64.
    pub sig: String,
}

/// Why an envelope proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not in the agreed form.
    #[error("the signature cannot be read: {0}; `domicile plugin deploy --key` or `domicile policy sign` writes it")]
    Malformed(String),
    /// It is about something else.
    #[error("the signature is over `{found}`, and {about} needs one over `{expected}`")]
    PayloadType {
        /// What it is over.
        found: String,
        /// What was to be signed, in words.
        about: &'static str,
        /// What it is to be over.
        expected: &'static str,
    },
    /// No trusted key made it.
    #[error(
        "it is signed with {key}, which this region does not trust; if you do, add the key to `trusted_keys` in \
         {section} of the region's file and restart the region"
    )]
    UnknownKey {
        /// The key that the envelope names.
        key: String,
        /// The section that trusted keys for this stand in.
        section: &'static str,
    },
    /// A trusted key is named, and did not make it.
    #[error("the signature was not made with {key}, or what it is over was changed; sign it again")]
    Forged {
        /// The key that the envelope names.
        key: String,
    },
}

/// The bytes that a DSSE signature is over: type and payload, each with its length.
fn pre_authentication_encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// DSSE allows both alphabets.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok()
}

/// A public key as region files and envelopes write it: `ed25519:` and base64.
pub fn public_key_text(key: &VerifyingKey) -> String {
    format!("ed25519:{}", BASE64.encode(key.as_bytes()))
}

impl Envelope {
    /// Signs a statement.
    pub fn sign<S: Statement>(statement: &S, key: &SigningKey) -> Self {
        // Texts and numbers always serialize.
        let payload = serde_json::to_vec(statement).unwrap_or_default();
        let signature = key.sign(&pre_authentication_encoding(S::PAYLOAD_TYPE, &payload));
        let signature = EnvelopeSignature {
            keyid: public_key_text(&key.verifying_key()),
            sig: BASE64.encode(signature.to_bytes()),
        };
        Self { payload_type: S::PAYLOAD_TYPE.to_owned(), payload: BASE64.encode(payload), signatures: vec![signature] }
    }

    /// As the header `Domicile-Signature` carries it: base64 of the JSON text.
    pub fn to_header(&self) -> String {
        // Texts and lists of them always serialize.
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads the header.
    ///
    /// # Errors
    /// Where it is too large or something else.
    pub fn from_header(header: &str) -> Result<Self, SignatureError> {
        if header.len() > PLUGIN_ENVELOPE_BYTES_MAX {
            return Err(SignatureError::Malformed(format!("it has more than {PLUGIN_ENVELOPE_BYTES_MAX} bytes")));
        }
        let json = decode(header).ok_or_else(|| SignatureError::Malformed("it is not base64".to_owned()))?;
        Self::from_json(&json)
    }

    /// The text of a file beside what is signed.
    pub fn to_json(&self) -> String {
        // Texts and lists of them always serialize.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads such a file.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn from_json(json: &[u8]) -> Result<Self, SignatureError> {
        serde_json::from_slice(json).map_err(|e| SignatureError::Malformed(format!("it is not an envelope: {e}")))
    }

    /// The statement, and the one of `trusted` that signed it.
    ///
    /// # Errors
    /// Where none of them did, or there is no such statement.
    pub fn verify<'k, S: Statement>(
        &self,
        trusted: &'k [VerifyingKey],
    ) -> Result<(S, &'k VerifyingKey), SignatureError> {
        let malformed = |what: &str| SignatureError::Malformed(what.to_owned());
        if self.payload_type != S::PAYLOAD_TYPE {
            let found = self.payload_type.chars().take(80).collect();
            return Err(SignatureError::PayloadType { found, about: S::ABOUT, expected: S::PAYLOAD_TYPE });
        }
        if self.signatures.is_empty() || self.signatures.len() > PLUGIN_SIGNATURES_MAX {
            return Err(malformed("an envelope has 1 to 16 signatures"));
        }
        let payload = decode(&self.payload).ok_or_else(|| malformed("the payload is not base64"))?;
        let signed = pre_authentication_encoding(&self.payload_type, &payload);
        let made_by = |key: &VerifyingKey| self.signatures.iter().any(|signature| signature.made_by(key, &signed));
        // Nothing of the payload is read before a trusted key stands for it.
        let Some(key) = trusted.iter().find(|key| made_by(key)) else {
            return Err(self.untrusted(trusted, S::SECTION));
        };
        let statement = serde_json::from_slice(&payload)
            .map_err(|e| SignatureError::Malformed(format!("its payload says nothing about {}: {e}", S::ABOUT)))?;
        Ok((statement, key))
    }

    fn untrusted(&self, trusted: &[VerifyingKey], section: &'static str) -> SignatureError {
        let named = |signature: &EnvelopeSignature| match signature.keyid.as_str() {
            "" => "an unnamed key".to_owned(),
            id => id.chars().take(80).collect(),
        };
        let known = |id: &str| trusted.iter().any(|key| public_key_text(key) == id);
        match self.signatures.iter().find(|signature| known(&signature.keyid)) {
            Some(signature) => SignatureError::Forged { key: named(signature) },
            None => SignatureError::UnknownKey { key: self.signatures.first().map(named).unwrap_or_default(), section },
        }
    }
}

impl EnvelopeSignature {
    fn made_by(&self, key: &VerifyingKey, signed: &[u8]) -> bool {
        let signature: Option<[u8; 64]> = decode(&self.sig).and_then(|bytes| bytes.try_into().ok());
        signature.is_some_and(|bytes| key.verify_strict(signed, &Signature::from_bytes(&bytes)).is_ok())
    }
}
