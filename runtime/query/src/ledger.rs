//! The ledger of a region: a receipt for everything that left it, written before the data is.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use domicile_store::{Journal, Records};
use domicile_types::Digest;
use domicile_types::limits::REMEMBERED_SIZES_MAX;
use domicile_wire::receipt::{ChainVerifier, LedgerRecord, Receipt, SignedReceipt, key_text, sha256};
use ed25519_dalek::SigningKey;

use crate::QueryError;

/// A region's ledger. One thread owns it.
#[derive(Debug)]
pub(crate) struct Ledger {
    journal: Journal,
    key: SigningKey,
    sequence: u64,
    head: String,
    sizes: Sizes,
}

impl Ledger {
    /// Opens the ledger at `path`, checking its whole chain.
    ///
    /// # Errors
    /// Where the file cannot be read, or the chain does not hold.
    pub(crate) fn open(path: &Path, key: SigningKey) -> Result<Self, QueryError> {
        let mut chain = ChainVerifier::new(key_text(&key.verifying_key()));
        let (mut broken, mut sizes) = (None, Sizes::default());
        let journal = Journal::open_each(path, |line| {
            let checked = parse(line).and_then(|record| {
                sizes.note(&record.signed.receipt);
                chain.check(&record).map_err(|e| e.to_string())
            });
            if let Err(detail) = checked {
                broken.get_or_insert(detail);
            }
        })?;
        if let Some(detail) = broken {
            let detail = format!(
                "the ledger {} does not hold: {detail}; put a copy of it in its place, or move it away to begin a new one \
                 and keep it as evidence",
                path.display()
            );
            return Err(QueryError::Execution(detail));
        }
        Ok(Self { journal, key, sequence: chain.receipts(), head: chain.head().to_owned(), sizes })
    }

    /// How many receipts it holds.
    pub(crate) fn receipts(&self) -> u64 {
        self.sequence
    }

    /// The public key that receipts are checked with, as receipts carry it.
    pub(crate) fn key(&self) -> String {
        key_text(&self.key.verifying_key())
    }

    /// Writes and signs the next receipt, durable when this returns. `draft` needs no number, chain or question hash.
    ///
    /// # Errors
    /// Where the disk fails: then nothing may leave.
    pub(crate) fn record(&mut self, draft: Receipt, question: String) -> Result<SignedReceipt, QueryError> {
        let receipt = Receipt {
            sequence: self.sequence + 1,
            previous: self.head.clone(),
            question_sha256: sha256(question.as_bytes()).to_string(),
            ..draft
        };
        let record = LedgerRecord { signed: SignedReceipt::sign(receipt, &self.key), question };
        let line = serde_json::to_vec(&record).map_err(|e| QueryError::Execution(e.to_string()))?;
        self.journal.append(&line)?;
        self.sequence += 1;
        self.head.clone_from(&record.signed.hash);
        self.sizes.note(&record.signed.receipt);
        Ok(record.signed)
    }

    /// Bytes of the latest answer that was asked for just so; none where none is remembered.
    pub(crate) fn size_of(&self, asked: &AskedFor) -> Option<u64> {
        self.sizes.bytes.get(&asked.digest()).copied()
    }
}

/// What tells answers apart whose sizes are remembered: nobody learns the size of what somebody else was told.
#[derive(Debug, Clone)]
pub(crate) struct AskedFor {
    /// The destination, as receipts name it.
    pub(crate) to: String,
    /// Who shares what is learned; none for who has no token.
    pub(crate) tenant: Option<String>,
    pub(crate) purpose: Option<String>,
    /// SHA-256 of the question.
    pub(crate) question: String,
}

impl AskedFor {
    fn of(receipt: &Receipt) -> Self {
        Self {
            to: receipt.to.clone(),
            tenant: receipt.client.as_ref().map(|client| client.tenant.clone()),
            purpose: receipt.purpose.clone(),
            question: receipt.question_sha256.clone(),
        }
    }

    /// One number for all of it: what is kept of purposes, which callers choose, stays small.
    fn digest(&self) -> Digest {
        let parts = (&self.to, &self.tenant, &self.purpose, &self.question);
        // Texts always serialize.
        sha256(&serde_json::to_vec(&parts).unwrap_or_default())
    }
}

/// The sizes of the latest answers.
#[derive(Debug, Default)]
struct Sizes {
    bytes: BTreeMap<Digest, u64>,
    /// The keys, oldest first.
    order: VecDeque<Digest>,
}

impl Sizes {
    fn note(&mut self, receipt: &Receipt) {
        let asked = AskedFor::of(receipt).digest();
        if self.bytes.insert(asked, receipt.bytes).is_none() {
            self.order.push_back(asked);
        }
        if self.order.len() > REMEMBERED_SIZES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes.remove(&oldest);
        }
    }
}

/// Reads a ledger while its owner writes on.
#[derive(Debug, Clone)]
pub struct LedgerReader(PathBuf);

impl LedgerReader {
    /// A reader of the ledger at `path`.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Records as they were written, one JSON text each, oldest first, from the receipt with number `from` on.
    ///
    /// # Errors
    /// Where the file cannot be opened; errors further on are the iterator's.
    pub fn records(
        &self,
        from: u64,
    ) -> Result<impl Iterator<Item = Result<LedgerRecord, QueryError>> + use<>, QueryError> {
        let records = Records::open(&self.0)?.map(|line| parse(&line?).map_err(QueryError::Execution));
        Ok(records.filter(move |record| record.as_ref().map_or(true, |r| r.signed.receipt.sequence >= from)))
    }
}

fn parse(line: &[u8]) -> Result<LedgerRecord, String> {
    serde_json::from_slice(line).map_err(|e| format!("a line is not a receipt: {e}"))
}
