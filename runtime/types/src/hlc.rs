//! Hybrid logical clock: physical time that never runs backwards and tells any two moments of one writer apart.

use std::fmt;

/// A moment: 48 bits of Unix milliseconds, then a 16-bit counter. Later moments compare greater.
///
/// After Kulkarni et al., *Logical Physical Clocks* (2014), in the width of one integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Bits of the counter.
    const COUNTER_BITS: u32 = 16;

    /// The first moment after `self` that is not before the physical time `now_ms`, in Unix milliseconds.
    ///
    /// When the counter runs over, it carries into the milliseconds: order is kept, physical time is ahead a little.
    #[must_use]
    pub fn next(self, now_ms: u64) -> Self {
        let physical = now_ms.min(u64::MAX >> Self::COUNTER_BITS) << Self::COUNTER_BITS;
        Self(physical.max(self.0.saturating_add(1)))
    }

    /// The physical part, in Unix milliseconds.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.unix_ms(), self.0 & ((1 << Self::COUNTER_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::Hlc;

    #[test]
    fn moments_only_go_forward() {
        let first = Hlc::default().next(1_000);
        assert_eq!(first.unix_ms(), 1_000);
        let second = first.next(999);
        assert!(second > first, "a clock that was set back");
        assert_eq!(second.to_string(), "1000.1");
        assert_eq!(second.next(2_000).to_string(), "2000.0");
    }
}
