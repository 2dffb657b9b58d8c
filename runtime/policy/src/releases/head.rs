//! The first places of a trace, beside those of others: nearly all traces that are compared differ enough in these.

use super::trace::{Needs, Shares, Trace};

const PLACES: usize = 16;

/// What a trace has in its first places, with nothing between it and the next: reading is most of what comparing costs.
#[derive(Debug, Clone)]
pub(super) struct Head {
    sums: [u32; PLACES],
    weights: [f64; PLACES],
    /// What no place of the trace weighs more than; none where weights do not count.
    heaviest: Option<f64>,
    /// Of the whole trace.
    places: usize,
}

impl Head {
    pub(super) fn of(trace: &Trace) -> Self {
        let (mut sums, mut weights) = ([0; PLACES], [0.0; PLACES]);
        let entries = trace.entries().take_while(|(place, ..)| usize::from(*place) < PLACES);
        for (place, sum, weight) in entries {
            (sums[usize::from(place)], weights[usize::from(place)]) = (sum, weight);
        }
        Self { sums, weights, heaviest: trace.heaviest(), places: trace.places() }
    }

    /// Whether the traces differ enough in these places, whatever is in the others.
    pub(super) fn differs_enough(&self, other: &Self, needs: Needs) -> bool {
        if self.places != other.places {
            return false;
        }
        let weight_max = self.heaviest.zip(other.heaviest).map(|(ours, theirs)| ours + theirs);
        let mut shares = Shares::new(needs, self.places, weight_max);
        let (differing, whole) = self.difference(other, weight_max.is_some());
        shares.add_several(differing, whole);
        shares.is_enough()
    }

    /// How many of the places differ, and by which weights together.
    fn difference(&self, other: &Self, weighs: bool) -> (usize, f64) {
        let mut differing = [0_u32; PLACES];
        // Several sums, so that no addition waits for the one before it.
        let mut wholes = [0.0; 4];
        for at in 0..PLACES {
            let weight = (self.weights[at] - other.weights[at]).abs();
            let differs = self.sums[at] != other.sums[at] && (!weighs || weight != 0.0);
            differing[at] = u32::from(differs);
            wholes[at % 4] += if differs { weight } else { 0.0 };
        }
        (differing.iter().sum::<u32>() as usize, wholes.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::trace::Difference;
    use super::*;

    const NEEDS: Needs = Needs { minimum_entities: 5, dominance_percent: 50, strict: false };

    /// Few marks and few weights, so that places agree as often as not, and one that may weigh far more.
    fn traces() -> impl Strategy<Value = [Trace; 2]> {
        let entry = || (0_u16..40, 0_u32..3, prop_oneof![9 => -4.0..4.0, 1 => -200.0..200.0_f64]);
        let entries = || proptest::collection::vec(entry(), 0..80);
        (entries(), entries(), any::<[bool; 2]>()).prop_map(|(one, other, weigh)| {
            let trace = |entries: Vec<(u16, u32, f64)>, weighs| {
                let plain = entries.iter().map(|(place, mark, _)| (*place, *mark));
                if weighs { Trace::weighed(entries.iter().copied()) } else { Trace::of(plain) }
            };
            [trace(one, weigh[0] || weigh[1]), trace(other, weigh[0])]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_differs_enough_in_its_first_places_does_so_as_a_whole([one, other] in traces()) {
            let (head, its) = (Head::of(&one), Head::of(&other));
            if head.differs_enough(&its, NEEDS) {
                prop_assert_eq!(one.difference(&other, NEEDS), Difference::Enough);
            }
            prop_assert!(!head.differs_enough(&head, NEEDS), "nothing differs from itself");
        }
    }

    #[test]
    fn first_places_are_mostly_enough() {
        let trace = |by: u32| Trace::weighed((0..128).map(|place: u16| (place, u32::from(place) + by, f64::from(by))));
        let [one, other] = [1, 2].map(|by| Head::of(&trace(by)));
        assert!(one.differs_enough(&other, NEEDS));
        // One more place that may weigh more than half of what the first ones differ by.
        let heavy = Head::of(&Trace::weighed((0..128).map(|place: u16| {
            let weight = if place == 100 { 1e6 } else { 2.0 };
            (place, u32::from(place) + 2, weight)
        })));
        assert!(!one.differs_enough(&heavy, NEEDS));
    }
}
