//! The moment that copies are of, kept beside them so that a restart does not forget it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::QueryError;

/// How far the moment may have gone on since it was written down: after a restart, copies count as so much older.
const WRITTEN_EVERY_MS: u64 = 1_000;

/// A moment in Unix milliseconds. Only one task advances it.
#[derive(Debug)]
pub(super) struct Moment {
    path: PathBuf,
    /// 0 for none.
    unix_ms: AtomicU64,
    written_ms: AtomicU64,
}

impl Moment {
    /// Goes on from what the file says, where there is one.
    ///
    /// # Errors
    /// Where the file cannot be read, or is none of ours.
    pub(super) fn open(path: PathBuf) -> Result<Self, QueryError> {
        let shown = || format!("{}, which says how new copies are,", path.display());
        let unix_ms = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(QueryError::Execution(format!("{} cannot be read: {error}", shown()))),
            Ok(text) => text
                .trim()
                .parse()
                .map_err(|_| QueryError::Execution(format!("{} is damaged; remove it, it is made anew", shown())))?,
        };
        Ok(Self { path, unix_ms: AtomicU64::new(unix_ms), written_ms: AtomicU64::new(unix_ms) })
    }

    pub(super) fn get(&self) -> Option<u64> {
        Some(self.unix_ms.load(Ordering::Acquire)).filter(|unix_ms| *unix_ms > 0)
    }

    /// Advances to a moment; what copies are of by then is on the disk already.
    pub(super) fn note(&self, unix_ms: u64) {
        if self.unix_ms.fetch_max(unix_ms, Ordering::AcqRel) >= unix_ms
            || unix_ms < self.written_ms.load(Ordering::Relaxed).saturating_add(WRITTEN_EVERY_MS)
        {
            return;
        }
        let fresh = self.path.with_extension("new");
        match fs::write(&fresh, unix_ms.to_string()).and_then(|()| fs::rename(&fresh, &self.path)) {
            Ok(()) => self.written_ms.store(unix_ms, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "how new copies are cannot be written down; it is tried again"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_moment_only_advances_and_outlives_its_process() {
        let dir = tempfile::TempDir::new().unwrap();
        let open = || Moment::open(dir.path().join("orders.as-of"));
        let moment = open().unwrap();
        assert_eq!(moment.get(), None);
        moment.note(5_000);
        moment.note(4_000);
        moment.note(5_500);
        assert_eq!(moment.get(), Some(5_500));
        assert_eq!(open().unwrap().get(), Some(5_000), "what lies less than a second apart is written once");
        moment.note(6_000);
        assert_eq!(open().unwrap().get(), Some(6_000));
        fs::write(dir.path().join("orders.as-of"), "soon").unwrap();
        assert!(open().unwrap_err().to_string().contains("is damaged"));
    }
}
