//! What a ledger has to have because somebody saw it there: how a ledger that was cut short is noticed.

use domicile_wire::receipt::{LedgerHead, LedgerRecord};

use crate::output::Failure;

/// A receipt that was seen, by its number, its hash, or both.
#[derive(Debug)]
struct Seen {
    by: String,
    sequence: Option<u64>,
    hash: Option<String>,
    found: bool,
}

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Expected(Vec<Seen>);

impl Expected {
    /// What the caller has noted earlier.
    pub(super) fn noted(sequence: Option<u64>, hash: Option<String>) -> Self {
        let found = sequence == Some(0);
        let seen = (sequence.is_some() || hash.is_some()).then(|| Seen {
            by: "you".to_owned(),
            sequence,
            hash: hash.map(|hash| hash.to_lowercase()),
            found,
        });
        Self(seen.into_iter().collect())
    }

    /// What another region has seen.
    pub(super) fn add(&mut self, by: &str, head: LedgerHead) {
        let LedgerHead { sequence, hash, .. } = head;
        self.0.push(Seen { by: by.to_owned(), sequence: Some(sequence), hash: Some(hash), found: false });
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Compares a record whose place in the chain holds.
    ///
    /// # Errors
    /// Where another receipt was seen in its place.
    pub(super) fn compare(&mut self, record: &LedgerRecord) -> Result<(), Failure> {
        let (sequence, hash) = (record.signed.receipt.sequence, &record.signed.hash);
        for seen in &mut self.0 {
            let same_hash = seen.hash.as_ref().is_none_or(|seen| seen == hash);
            match seen.sequence {
                Some(number) if number != sequence => {}
                Some(_) if !same_hash => {
                    return Err(Failure::Unverified(format!(
                        "receipt {sequence} is another one than {} saw: the ledger was made anew from there on, or before",
                        seen.by
                    )));
                }
                _ => seen.found |= same_hash,
            }
        }
        Ok(())
    }

    /// Makes sure that everything was there.
    ///
    /// # Errors
    /// Names what is missing from a ledger of `receipts` receipts.
    pub(super) fn finish(&self, receipts: u64) -> Result<(), Failure> {
        let Some(missing) = self.0.iter().find(|seen| !seen.found) else { return Ok(()) };
        let what = match (missing.sequence, &missing.hash) {
            (Some(number), _) => format!("receipt {number}"),
            (None, hash) => format!("a receipt with hash {}", hash.as_deref().unwrap_or_default()),
        };
        Err(Failure::Unverified(format!(
            "the ledger ends with receipt {receipts}, and {} saw {what} of it: it was cut short",
            missing.by
        )))
    }
}
