//! What a region knows of another one of a set.

use domicile_types::{Vector, limits};

use crate::budget::Budget;

/// What is known of another region of the set.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) asked: bool,
    pub(crate) asked_ms: u64,
    pub(crate) failures: u32,
    pub(crate) retry_at_ms: u64,
    /// When it last answered or asked.
    pub(crate) heard_ms: Option<u64>,
    /// What it said that it has for good.
    pub(crate) acked: Vector,
    /// By how much it finds this region's clock ahead.
    pub(crate) ahead_ms: u64,
    pub(crate) refusal: Option<Refusal>,
    /// The epoch of the log that it writes, as far as it said.
    pub(crate) epoch: u32,
    /// Whether it said that it has nothing that this region lacks of its own log.
    pub(crate) is_sure: bool,
    /// Since when it says that this region may not have the set.
    pub(crate) refused_ms: Option<u64>,
    /// Since when it asks this region for nothing, since it is paused there.
    pub(crate) paused_ms: Option<u64>,
    /// What may come from it.
    pub(crate) budget: Option<Budget>,
    /// Bytes that the question under way asks for.
    pub(crate) wanted: u64,
}

/// Why another region gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What is lacked is not kept there any more.
    SnapshotRequired,
    /// This region may not have the set, or the other one thinks so.
    NotPermitted,
}

impl Link {
    /// Whether it is not to be asked yet. A clock that was set back does not make it rest longer.
    pub(crate) fn rests(&self, now_ms: u64) -> bool {
        now_ms < self.retry_at_ms && self.retry_at_ms <= now_ms.saturating_add(limits::PULL_RETRY_MS_MAX)
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal, now_ms: u64) {
        self.refusal = Some(refusal);
        self.retry_at_ms = now_ms.saturating_add(limits::PULL_RETRY_MS_MAX);
    }
}
