//! The latest receipts that came here from other regions' ledgers: what those have to have, for good. Who cuts a ledger
//! short cannot cut what its receivers remember.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domicile_store::write_atomic;
use domicile_types::limits::HEAD_NOTES_MAX;
use domicile_wire::receipt::{LedgerHead, SignedReceipt};

use crate::QueryError;
use crate::owner::Owner;

/// The heads, noted without anybody waiting for it.
#[derive(Debug)]
pub(crate) struct Heads {
    kept: Owner<Kept>,
    /// Notes on their way: of those that come at once, the last is written.
    waiting: Arc<AtomicUsize>,
}

/// What is known, and the file that has it.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    by_region: BTreeMap<String, LedgerHead>,
    /// Whether the file lacks some of it.
    is_behind: bool,
}

impl Heads {
    /// Opens the file of heads, which may be missing.
    ///
    /// # Errors
    /// Where it cannot be read, or no thread be started.
    pub(crate) fn open(path: &Path) -> Result<Self, QueryError> {
        let kept = Kept { path: path.to_owned(), by_region: read(path)?, is_behind: false };
        let failed = |e| QueryError::Execution(format!("no thread could be started: {e}"));
        let kept = Owner::start("heads", HEAD_NOTES_MAX, kept).map_err(failed)?;
        Ok(Self { kept, waiting: Arc::default() })
    }

    /// Notes a receipt that was checked.
    pub(crate) fn note(&self, signed: &SignedReceipt) {
        let (head, waiting) = (LedgerHead::from(signed), Arc::clone(&self.waiting));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let taken = self.kept.tell(move |kept| {
            kept.is_behind |= kept.take_in(head);
            if waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
                kept.write();
            }
        });
        if !taken {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// All of them, in the order of the regions' names.
    ///
    /// # Errors
    /// Where they cannot be noted any more.
    pub(crate) async fn all(&self) -> Result<Vec<LedgerHead>, QueryError> {
        Ok(self.kept.run(Kept::all).await?)
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, LedgerHead>, QueryError> {
    let unfit = |detail: String| {
        let path = path.display();
        QueryError::Execution(format!("what was seen of other ledgers, {path}, cannot be read: {detail}; move it away"))
    };
    let heads: Vec<LedgerHead> = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| unfit(e.to_string()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(unfit(error.to_string())),
    };
    Ok(heads.into_iter().map(|head| (head.region.clone(), head)).collect())
}

impl Kept {
    /// Says whether the head is a later one. What does not fit what is known is told and not taken.
    fn take_in(&mut self, head: LedgerHead) -> bool {
        match self.by_region.get(&head.region) {
            Some(known) if known.key != head.key => {
                tracing::warn!(region = head.region, key = head.key, known = known.key, "a ledger has another key");
                return false;
            }
            Some(known) if known.sequence == head.sequence && known.hash != head.hash => {
                tracing::warn!(region = head.region, sequence = head.sequence, "a ledger was made anew");
                return false;
            }
            Some(known) if known.sequence >= head.sequence => return false,
            _ => {}
        }
        self.by_region.insert(head.region.clone(), head);
        true
    }

    fn all(&mut self) -> Vec<LedgerHead> {
        self.write();
        self.by_region.values().cloned().collect()
    }

    fn write(&mut self) {
        if !self.is_behind {
            return;
        }
        let heads: Vec<&LedgerHead> = self.by_region.values().collect();
        let bytes = serde_json::to_vec_pretty(&heads).map_err(|e| e.to_string());
        let written = bytes.and_then(|bytes| write_atomic(&self.path, &bytes).map_err(|e| e.to_string()));
        match written {
            Ok(()) => self.is_behind = false,
            Err(error) => tracing::warn!(error, "what was seen of other ledgers could not be kept"),
        }
    }
}
