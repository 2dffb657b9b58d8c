//! How far a region is behind: the entries that others said there are, and that do not count here.

use std::collections::BTreeMap;

use domicile_store::Reach;
use domicile_types::{Origin, Vector, limits};

/// How far a region is behind one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLag {
    /// Whose log.
    pub origin: Origin,
    /// Entries that there are and that do not count here.
    pub entries: u64,
    /// Bytes of them. Where some of those that were told of count by now, the share of the others.
    pub bytes: u64,
    /// How long ago the oldest of them was written, in milliseconds by its writer's clock and this region's; 0 where there
    /// is none.
    pub age_ms: u64,
}

/// What other regions said of logs, as far as it does not count here.
#[derive(Debug, Default)]
pub(crate) struct Horizon(BTreeMap<Origin, Reach>);

impl Horizon {
    /// Takes note of how far a log goes.
    pub(crate) fn heard(&mut self, reach: Reach, applied: &Vector) {
        self.0.retain(|origin, known| applied.get(origin) < known.to);
        let is_news = applied.get(&reach.origin) < reach.to && reach.from <= reach.to;
        let has_room = self.0.len() < limits::SET_LOGS_MAX || self.0.contains_key(&reach.origin);
        if !is_news || !has_room {
            return;
        }
        // Of what goes equally far, that is closer which leaves out more of what counts here.
        let fit = |reach: &Reach| (reach.to, reach.oldest_ms.is_some(), reach.from.min(applied.get(&reach.origin)));
        if self.0.get(&reach.origin).is_none_or(|known| fit(known) <= fit(&reach)) {
            self.0.insert(reach.origin.clone(), reach);
        }
    }

    /// How far this region is behind each log of which something counts here or was told. `next_ms` says when the next
    /// entry of a log was written, where that has come and only waits.
    pub(crate) fn lags(&self, applied: &Vector, next_ms: &dyn Fn(&Origin) -> Option<u64>, now_ms: u64) -> Vec<LogLag> {
        let mut lags: BTreeMap<&Origin, LogLag> = BTreeMap::new();
        for origin in applied.iter().map(|(origin, _)| origin).chain(self.0.keys()) {
            let reach = self.0.get(origin);
            let entries = reach.map_or(0, |reach| reach.to.saturating_sub(applied.get(origin)));
            let (bytes, oldest_ms) = match reach.filter(|_| entries > 0) {
                None => (0, None),
                Some(reach) => (share(reach, entries), next_ms(origin).or(reach.oldest_ms)),
            };
            let age_ms = oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms));
            lags.insert(origin, LogLag { origin: origin.clone(), entries, bytes, age_ms });
        }
        lags.into_values().collect()
    }
}

fn share(reach: &Reach, entries: u64) -> u64 {
    let told = u128::from((reach.to - reach.from).max(1));
    let share = u128::from(reach.bytes) * u128::from(entries.min(reach.to - reach.from)) / told;
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn origin(region: &str) -> Origin {
        Origin { region: region.parse().unwrap(), epoch: 0 }
    }

    fn reach(region: &str, from: u64, to: u64, bytes: u64, oldest_ms: u64) -> Reach {
        Reach { origin: origin(region), from, to, bytes, oldest_ms: Some(oldest_ms) }
    }

    #[test]
    fn what_was_told_and_does_not_count_is_behind() {
        let (mut horizon, mut applied) = (Horizon::default(), Vector::from_iter([(origin("a"), 2)]));
        horizon.heard(reach("a", 2, 6, 400, 1_000), &applied);
        horizon.heard(reach("b", 0, 1, 10, 3_000), &applied);
        let lag = |horizon: &Horizon, applied: &Vector| -> Vec<(u64, u64, u64)> {
            let lags = horizon.lags(applied, &|_| None, 5_000);
            lags.iter().map(|lag| (lag.entries, lag.bytes, lag.age_ms)).collect()
        };
        assert_eq!(lag(&horizon, &applied), [(4, 400, 4_000), (1, 10, 2_000)]);
        applied.advance(&origin("a"), 5);
        assert_eq!(lag(&horizon, &applied)[0], (1, 100, 4_000), "a part counts by now");
        horizon.heard(reach("a", 5, 6, 70, 4_000), &applied);
        assert_eq!(lag(&horizon, &applied)[0], (1, 70, 1_000), "a later word is closer");
        horizon.heard(reach("a", 0, 3, 900, 1), &applied);
        assert_eq!(lag(&horizon, &applied)[0], (1, 70, 1_000), "an old word changes nothing");
        applied.advance(&origin("a"), 6);
        applied.advance(&origin("b"), 9);
        assert_eq!(lag(&horizon, &applied), [(0, 0, 0), (0, 0, 0)]);
        let held = horizon.lags(&Vector::new(), &|_| Some(4_990), 5_000);
        assert_eq!(held.iter().map(|lag| lag.age_ms).collect::<Vec<_>>(), [10, 10], "what has come is known best");
    }

    #[test]
    fn nobody_makes_it_grow_without_bound() {
        let (mut horizon, applied) = (Horizon::default(), Vector::new());
        for epoch in 0..=limits::SET_LOGS_MAX as u32 {
            let origin = Origin { region: "a".parse().unwrap(), epoch };
            horizon.heard(Reach { origin, from: 0, to: 1, bytes: u64::MAX, oldest_ms: None }, &applied);
        }
        assert_eq!(horizon.0.len(), limits::SET_LOGS_MAX);
        horizon.heard(reach("b", 5, 2, 1, 1), &applied);
        assert_eq!(horizon.0.len(), limits::SET_LOGS_MAX, "what ends before it begins is nonsense");
    }
}
