//! Receipts: one signed, hash-chained record for each crossing, made and kept by the region that the data left.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use domicile_types::Digest;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The policy clause that permitted a crossing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClauseRecord {
    /// The dataset whose policy it is.
    pub dataset: String,
    /// The clause's id.
    pub clause: String,
    /// The policy's version.
    pub policy_version: u64,
    /// SHA-256 of the policy file.
    pub policy_sha256: String,
    /// The legal basis that the clause states.
    pub legal_basis: String,
}

/// A plugin whose code alone decided what some of the bytes that crossed hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// Its name.
    pub name: String,
    /// SHA-256 of its component, as the clauses approve it.
    pub sha256: String,
    /// The parameters it ran with, as text; those left out had their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// The client of an answer that something crossed a border for, as its token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Who made the token.
    pub issuer: String,
    /// Whose it is.
    pub subject: String,
    /// Who shares an interest in what is learnt.
    pub tenant: String,
    /// The regions that the client stands at, as the source region sees it, in the order of their names.
    pub regions: Vec<String>,
}

/// What crossed a border, and by what right. Field order is part of the format: the hash covers the JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Number in the source region's chain, from 1, without gaps.
    pub sequence: u64,
    /// Hash of the receipt before; 64 zeros for the first.
    pub previous: String,
    /// When it was made, milliseconds since 1970-01-01 UTC.
    pub at_unix_ms: u64,
    /// The query that asked.
    pub query_id: String,
    /// The region that the data left.
    pub from: String,
    /// The region that the data went to; `client:` and regions where it went from its own region's edge to a client who
    /// stands at these.
    pub to: String,
    /// The client for whom it crossed. Left out where it had no token, so that receipts from before there were any keep
    /// their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientRecord>,
    /// How it crossed: `aggregate` or `replicate`.
    pub form: String,
    /// Resident datasets that the data was computed from.
    pub datasets: Vec<String>,
    /// Columns that flowed into the data, as `dataset.column`.
    pub columns: Vec<String>,
    /// One clause for each dataset.
    pub clauses: Vec<ClauseRecord>,
    /// Purpose stated by the caller.
    pub purpose: Option<String>,
    /// Plugins whose states of aggregates, or whose partial results, crossed. Left out where there are none, so that
    /// receipts from before there were any keep their hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginRecord>,
    /// Distinct entities that each released group had at least; 0 for the partial results of a query plugin, which
    /// holds back what is too small itself, and where noise protects instead.
    pub minimum_entities: u64,
    /// What of an entity's privacy was spent, in millionths of epsilon, where numbers have noise. Left out where they have
    /// none, so that receipts from before this was said keep their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon_millionths: Option<u64>,
    /// Groups (or rows) released.
    pub rows_released: u64,
    /// Groups held back because they had fewer entities, rounded up to a multiple of that minimum.
    pub groups_suppressed: u64,
    /// Bytes of the body that crossed.
    pub bytes: u64,
    /// SHA-256 of the body that crossed.
    pub body_sha256: String,
    /// SHA-256 of the question, which the ledger keeps beside the receipt.
    pub question_sha256: String,
}

/// A receipt with the proof that the source region made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// SHA-256 of the receipt's JSON text, hexadecimal.
    pub hash: String,
    /// ed25519 signature of the hash, base64.
    pub signature: String,
    /// The source region's ed25519 public key, base64.
    pub key: String,
}

/// One line of a region's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// The receipt.
    #[serde(flatten)]
    pub signed: SignedReceipt,
    /// The fragment that was answered: SQL that a person can read.
    pub question: String,
}

/// The latest receipt of another region's ledger that a region has seen. That ledger has it for good, unless it was cut
/// short or made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// Whose ledger it is.
    pub region: String,
    /// The receipt's number.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
    /// The ed25519 public key that it is signed with, base64.
    pub key: String,
    /// When it was made, milliseconds since 1970-01-01 UTC.
    pub at_unix_ms: u64,
}

impl From<&SignedReceipt> for LedgerHead {
    fn from(signed: &SignedReceipt) -> Self {
        let Receipt { from, sequence, at_unix_ms, .. } = &signed.receipt;
        Self {
            region: from.clone(),
            sequence: *sequence,
            hash: signed.hash.clone(),
            key: signed.key.clone(),
            at_unix_ms: *at_unix_ms,
        }
    }
}

/// What is wrong with a receipt or a chain of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The receipt was changed after it was made.
    #[error("receipt {sequence} does not have the hash that it was signed with: it was changed")]
    Changed {
        /// Its number.
        sequence: u64,
    },
    /// The signature is not the region's.
    #[error("receipt {sequence} is not signed with this region's key")]
    Signature {
        /// Its number.
        sequence: u64,
    },
    /// A receipt is missing or out of order.
    #[error("receipt {expected} is missing or out of order: found {found} in its place")]
    Gap {
        /// Number expected.
        expected: u64,
        /// Number found.
        found: u64,
    },
    /// The chain was cut and joined again.
    #[error("receipt {sequence} does not follow the one before it: the chain was cut")]
    Unchained {
        /// Its number.
        sequence: u64,
    },
    /// The kept question is not the one that was answered.
    #[error("the question kept with receipt {sequence} is not the one that was answered")]
    Question {
        /// Its number.
        sequence: u64,
    },
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The hash that the first receipt of a chain follows.
pub fn genesis() -> String {
    Digest([0; 32]).to_string()
}

fn hash_of(receipt: &Receipt) -> String {
    // Strings, integers and lists of them always serialize.
    sha256(&serde_json::to_vec(receipt).unwrap_or_default()).to_string()
}

/// A public key in the form that receipts carry.
pub fn key_text(key: &VerifyingKey) -> String {
    BASE64.encode(key.as_bytes())
}

impl SignedReceipt {
    /// Signs `receipt`.
    pub fn sign(receipt: Receipt, key: &SigningKey) -> Self {
        let hash = hash_of(&receipt);
        let signature = BASE64.encode(key.sign(hash.as_bytes()).to_bytes());
        Self { receipt, hash, signature, key: key_text(&key.verifying_key()) }
    }

    /// Checks that the receipt is whole and signed with the key that it carries.
    ///
    /// # Errors
    /// Where the hash or the signature does not fit.
    pub fn verify(&self) -> Result<(), ReceiptError> {
        let sequence = self.receipt.sequence;
        if hash_of(&self.receipt) != self.hash {
            return Err(ReceiptError::Changed { sequence });
        }
        let verified = (|| {
            let key: [u8; 32] = BASE64.decode(&self.key).ok()?.try_into().ok()?;
            let signature: [u8; 64] = BASE64.decode(&self.signature).ok()?.try_into().ok()?;
            let key = VerifyingKey::from_bytes(&key).ok()?;
            key.verify_strict(self.hash.as_bytes(), &Signature::from_bytes(&signature)).ok()
        })();
        verified.ok_or(ReceiptError::Signature { sequence })
    }
}

/// Walks a ledger from its first record, holding only what the next one is checked against.
#[derive(Debug)]
pub struct ChainVerifier {
    key: String,
    previous: String,
    sequence: u64,
    bytes: u64,
}

impl ChainVerifier {
    /// A walk over the ledger of the region whose public key is `key`.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), previous: genesis(), sequence: 0, bytes: 0 }
    }

    /// Checks the next record.
    ///
    /// # Errors
    /// Names the first thing that does not hold.
    pub fn check(&mut self, record: &LedgerRecord) -> Result<(), ReceiptError> {
        let receipt = &record.signed.receipt;
        let sequence = receipt.sequence;
        if sequence != self.sequence + 1 {
            return Err(ReceiptError::Gap { expected: self.sequence + 1, found: sequence });
        }
        if receipt.previous != self.previous {
            return Err(ReceiptError::Unchained { sequence });
        }
        record.signed.verify()?;
        if record.signed.key != self.key {
            return Err(ReceiptError::Signature { sequence });
        }
        if sha256(record.question.as_bytes()).to_string() != receipt.question_sha256 {
            return Err(ReceiptError::Question { sequence });
        }
        self.sequence = sequence;
        self.previous.clone_from(&record.signed.hash);
        self.bytes += receipt.bytes;
        Ok(())
    }

    /// Receipts checked so far.
    pub fn receipts(&self) -> u64 {
        self.sequence
    }

    /// Bytes that the checked receipts cover.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hash of the last receipt checked: what the next one must follow.
    pub fn head(&self) -> &str {
        &self.previous
    }
}
