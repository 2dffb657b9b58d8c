//! Of which moment a copy is: everything that its home had written by then counts in it.

use domicile_store::Entry;
use domicile_types::Vector;

/// How far a copy has caught up with its home, by the clock of the region that has the copy.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    /// An answer with all that was lacking: when it was asked for, and what was in it.
    claim: Option<(u64, Vector)>,
    reached_ms: Option<u64>,
}

impl Freshness {
    /// Takes note of an answer with the last entries that the home had. It was asked at `asked_ms`, and the home had no
    /// others at that moment.
    pub(crate) fn claim(&mut self, asked_ms: u64, entries: &[Entry]) {
        let dots = entries.iter().map(|entry| (entry.mark.dot.origin.clone(), entry.mark.dot.seq));
        self.claim = Some((asked_ms, dots.collect()));
    }

    /// The moment of the copy, once `applied` counts in it; none before it has caught up for the first time.
    pub(crate) fn reached_ms(&mut self, applied: &Vector) -> Option<u64> {
        if let Some((asked_ms, _)) = self.claim.take_if(|(_, entries)| applied.covers(entries)) {
            self.reached_ms = Some(asked_ms);
        }
        self.reached_ms
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use domicile_types::Origin;

    use super::*;

    #[test]
    fn a_copy_is_of_the_moment_when_all_that_it_has_was_asked_for() {
        let (mut freshness, origin) = (Freshness::default(), Origin { region: "eu".parse().unwrap(), epoch: 0 });
        let upto = |seq: u64| Vector::from_iter([(origin.clone(), seq)]);
        assert_eq!(freshness.reached_ms(&upto(7)), None);
        freshness.claim(10, &[]);
        assert_eq!(freshness.reached_ms(&Vector::default()), Some(10));
        freshness.claim = Some((20, upto(3)));
        assert_eq!([freshness.reached_ms(&upto(2)), freshness.reached_ms(&upto(3))], [Some(10), Some(20)]);
    }
}
