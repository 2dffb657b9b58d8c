//! States of the data that advance now and then only, so that no answer shows what one row changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domicile_store::Snapshot;

const HOUR_MS: u64 = 3_600_000;

/// The current state for each number of hours that one lasts. A state keeps its files and rows until the next one.
#[derive(Debug)]
pub(crate) struct Settled<S = Snapshot> {
    /// With the number of the hours since 1970 that it is of.
    states: Mutex<BTreeMap<u64, (u64, Arc<S>)>>,
}

impl<S> Default for Settled<S> {
    fn default() -> Self {
        Self { states: Mutex::default() }
    }
}

impl<S> Settled<S> {
    /// The state of these hours; `newest` where there is none yet, or always, where the hours are 0.
    pub(crate) fn at(&self, hours: u64, now_ms: u64, newest: impl FnOnce() -> Arc<S>) -> Arc<S> {
        let Some(number) = now_ms.checked_div(hours.saturating_mul(HOUR_MS)) else { return newest() };
        // Each entry is whole after every step, so a poisoned lock is still good.
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, state)) = states.get(&hours)
            && *of == number
        {
            return Arc::clone(state);
        }
        let state = newest();
        states.insert(hours, (number, Arc::clone(&state)));
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_lasts_for_its_hours() {
        let settled = Settled::<u64>::default();
        let at = |hours, now_ms| *settled.at(hours, now_ms, || Arc::new(now_ms));
        assert_eq!([at(0, 5), at(0, 6)], [5, 6]);
        assert_eq!([at(24, 5), at(24, 24 * HOUR_MS - 1), at(1, 9)], [5, 5, 9]);
        assert_eq!([at(24, 24 * HOUR_MS), at(24, 40 * HOUR_MS), at(0, 7)], [24 * HOUR_MS, 24 * HOUR_MS, 7]);
    }
}
