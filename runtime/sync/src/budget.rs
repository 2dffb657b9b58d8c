//! How many bytes a second may come over a link.

/// A bucket that fills with time, up to what comes in a second. What has come is taken out afterwards, so that it may be
/// less than empty; then nothing is asked for until it has filled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    bytes_per_s: u64,
    /// Thousandths of bytes.
    left: i128,
    filled_ms: u64,
}

impl Budget {
    /// A bucket that is full.
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s, left: i128::from(bytes_per_s) * 1_000, filled_ms: 0 }
    }

    /// Bytes that may be asked for now; none where it has to fill further first.
    pub(crate) fn bytes(&mut self, now_ms: u64) -> Option<u64> {
        let full = i128::from(self.bytes_per_s) * 1_000;
        // A clock that was set back gives nothing.
        let elapsed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        self.left = (self.left + i128::from(self.bytes_per_s) * i128::from(elapsed_ms)).min(full);
        // Questions that are worth the while.
        (4 * self.left >= full).then(|| u64::try_from(self.left / 1_000).unwrap_or(0).max(1))
    }

    /// Takes out what has come.
    pub(crate) fn take(&mut self, bytes: u64) {
        self.left -= i128::from(bytes) * 1_000;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_comes_than_it_lets_through() {
        let (mut budget, mut came) = (Budget::new(1_000), 0);
        for now_ms in (1_000..61_000).step_by(10) {
            if let Some(bytes) = budget.bytes(now_ms) {
                assert!(bytes <= 1_000);
                // An entry alone may be larger than what was asked for.
                let bytes = bytes.max(700);
                budget.take(bytes);
                came += bytes;
            }
        }
        assert!((59_000..=61_700).contains(&came), "{came} bytes came in a minute");
    }

    #[test]
    fn large_entries_are_paid_for_afterwards() {
        let mut budget = Budget::new(1_000);
        assert_eq!(budget.bytes(5_000), Some(1_000));
        budget.take(11_000);
        assert_eq!(budget.bytes(15_000), None);
        assert_eq!(budget.bytes(4_000), None, "a clock that was set back gives nothing");
        assert_eq!(budget.bytes(4_250), Some(250));
    }
}
