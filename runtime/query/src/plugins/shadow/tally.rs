//! What is counted of a shadow, in bounded memory.

use std::collections::VecDeque;

use domicile_types::limits::{SHADOW_DIFFERENCES_MAX, SHADOW_TIMES_MAX};
use domicile_wire::plugins::{Release, ShadowDifference, ShadowReport, Times, VersionRef};

use super::Outcome;

/// The two versions that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    active: VersionRef,
    shadow: VersionRef,
}

impl Pair {
    pub(super) fn of(release: &Release, shadow: &VersionRef) -> Self {
        Self { active: release.active.clone(), shadow: shadow.clone() }
    }
}

/// Counts of one pair.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) pair: Pair,
    pub(super) denied: u64,
    pub(super) border_bytes: u64,
    equal: u64,
    failed: u64,
    dropped: u64,
    unsteady: u64,
    different: u64,
    active_ms: Latest<f64>,
    shadow_ms: Latest<f64>,
    last_failure: Option<String>,
    differences: Latest<ShadowDifference>,
}

impl Tally {
    pub(super) fn new(pair: Pair) -> Self {
        Self {
            pair,
            denied: 0,
            border_bytes: 0,
            equal: 0,
            failed: 0,
            dropped: 0,
            unsteady: 0,
            different: 0,
            active_ms: Latest::new(SHADOW_TIMES_MAX),
            shadow_ms: Latest::new(SHADOW_TIMES_MAX),
            last_failure: None,
            differences: Latest::new(SHADOW_DIFFERENCES_MAX),
        }
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Failed(why) => {
                self.failed += 1;
                self.last_failure = Some(why.clone());
            }
            Outcome::Dropped => self.dropped += 1,
            Outcome::Unsteady => self.unsteady += 1,
            Outcome::Compared(compared) => {
                self.active_ms.push(compared.active_ms);
                self.shadow_ms.push(compared.shadow_ms);
                match &compared.difference {
                    None => self.equal += 1,
                    Some(difference) => {
                        self.different += 1;
                        self.differences.push(difference.clone());
                    }
                }
            }
        }
    }

    pub(super) fn report(&self, name: &str) -> ShadowReport {
        let (active_ms, shadow_ms) = (self.active_ms.times(), self.shadow_ms.times());
        ShadowReport {
            name: name.to_owned(),
            active: self.pair.active.version.clone(),
            shadow: self.pair.shadow.version.clone(),
            compared: self.equal + self.different,
            equal: self.equal,
            different: self.different,
            failed: self.failed,
            denied: self.denied,
            dropped: self.dropped,
            unsteady: self.unsteady,
            border_bytes: self.border_bytes,
            active_ms,
            shadow_ms,
            slower: (active_ms.p50 > 0.0).then(|| shadow_ms.p50 / active_ms.p50),
            last_failure: self.last_failure.clone(),
            differences: self.differences.0.iter().cloned().collect(),
        }
    }
}

/// The latest values, up to a number of them.
#[derive(Debug, Clone)]
struct Latest<T>(VecDeque<T>, usize);

impl<T> Latest<T> {
    fn new(max: usize) -> Self {
        Self(VecDeque::new(), max)
    }

    fn push(&mut self, value: T) {
        if self.0.len() >= self.1 {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }
}

impl Latest<f64> {
    fn times(&self) -> Times {
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |of_thousand: usize| {
            let place = (sorted.len() * of_thousand).div_ceil(1000).saturating_sub(1);
            sorted.get(place).copied().unwrap_or_default()
        };
        Times { p50: at(500), p99: at(990), p99_9: at(999) }
    }
}
