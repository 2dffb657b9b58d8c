//! Traces of rows.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

/// Places of a trace; a power of two, so that it can be folded.
pub const TRACE_PLACES: usize = 1024;
/// Fewest places of a folded trace.
const FOLDED_MIN: usize = 128;
/// Places for each entity that two traces have to differ by: with eight, sets that differ by as many entities as they
/// have to are taken for too near about as often as not, and sets that differ by a tenth more hardly ever.
const PLACES_PER_ENTITY: usize = 8;
/// Of the places of two traces, the part that may differ where they are compared: else several entities share most.
const COMPARED_PART: usize = 4;

/// Sums are modulo this prime, so that they can be divided: 2^31 - 1.
pub(super) const PRIME: u32 = (1 << 31) - 1;

/// The mark of a row with this hash: what it adds to its entity's place. Never zero.
pub fn mark(hash: u64) -> u32 {
    (hash % u64::from(PRIME - 1)) as u32 + 1
}

/// What stands behind a group: each entity has one place, by a keyed hash, and adds the marks of its rows to it. Two
/// traces differ in at most as many places as there are entities that stand behind one with other rows than behind the
/// other, however many rows those are; and in fewer only where several of these share a place, so that a comparison errs
/// on the side of "too near". The trace of rows together is the sum of their traces.
///
/// A trace may also weigh its places: what their entities contribute to what is released, with its sign, so that two
/// weights of a place differ as the releases do. A weight that is no number differs from all others by too much.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// By ascending place; sums that are not zero only. A trace is held in several places at once.
    sums: Arc<[(u16, u32)]>,
    /// What each of these places weighs.
    weights: Option<Arc<[f64]>>,
    /// What the heaviest of them does, whichever way.
    heaviest: f64,
    places: usize,
}

/// How two traces differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The same rows.
    None,
    /// Rows of fewer entities than a group needs, or of one that contributes too much of them.
    TooFew,
    /// Rows of enough entities.
    Enough,
}

/// What a group needs to be released, and so a difference of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Fewest distinct entities.
    pub minimum_entities: u64,
    /// Largest share that one of them may contribute, in percent; 100 where any share may be.
    pub dominance_percent: u64,
    /// Whether the very same rows are too near as well, where they are not defined the same.
    pub strict: bool,
}

/// A place with what its entities add to it.
type Entry = (u16, u32, f64);

impl Trace {
    /// The trace of these marks, each with the place of its entity. Places are below [`TRACE_PLACES`].
    pub fn of(marks: impl IntoIterator<Item = (u16, u32)>) -> Self {
        let entries = marks.into_iter().map(|(place, mark)| (place, mark, 0.0)).collect();
        Self::with_places(TRACE_PLACES, entries, false)
    }

    /// The same where each mark has a weight: what the rows contribute.
    pub fn weighed(marks: impl IntoIterator<Item = (u16, u32, f64)>) -> Self {
        Self::with_places(TRACE_PLACES, marks.into_iter().collect(), true)
    }

    /// The trace with these entries: places, sums of marks, and weights where they count. Where they are by ascending
    /// places, with sums as [`Self::reduced`] gives them, this is far faster than [`Self::weighed`].
    pub fn of_sums(sums: impl Iterator<Item = (u16, u32, f64)> + Clone, weighs: bool) -> Self {
        let is_sum = |(place, sum, _): Entry| usize::from(place) < TRACE_PLACES && (1..PRIME).contains(&sum);
        if !sums.clone().is_sorted_by(|one, other| one.0 < other.0) || !sums.clone().all(is_sum) {
            return Self::with_places(TRACE_PLACES, sums.collect(), weighs);
        }
        let weights = || sums.clone().map(|(_, _, weight)| weight);
        Self {
            sums: sums.clone().map(|(place, sum, _)| (place, sum)).collect(),
            weights: weighs.then(|| weights().collect()),
            heaviest: heaviest(weights()),
            places: TRACE_PLACES,
        }
    }

    /// A sum of marks, as it is added.
    pub fn reduced(sum: u64) -> u32 {
        (sum % u64::from(PRIME)) as u32
    }

    fn with_places(places: usize, mut entries: Vec<Entry>, weighs: bool) -> Self {
        for (place, mark, _) in &mut entries {
            (*place, *mark) = (*place & (places - 1) as u16, *mark % PRIME);
        }
        // By weight as well, so that the same entries add up to the same number.
        entries.sort_unstable_by(|one, other| one.0.cmp(&other.0).then(one.2.total_cmp(&other.2)));
        entries.dedup_by(|next, entry| {
            let same = next.0 == entry.0;
            if same {
                (entry.1, entry.2) = (plus(entry.1, next.1), entry.2 + next.2);
            }
            same
        });
        Self::of_entries(places, entries, weighs)
    }

    /// The trace with these entries, each of another place, in ascending order.
    fn of_entries(places: usize, mut entries: Vec<Entry>, weighs: bool) -> Self {
        entries.retain(|(_, sum, _)| *sum != 0);
        let heaviest = heaviest(entries.iter().map(|(_, _, weight)| *weight));
        let sums = entries.iter().map(|(place, sum, _)| (*place, *sum)).collect();
        let weights = weighs.then(|| entries.iter().map(|(_, _, weight)| *weight).collect());
        Self { sums, weights, heaviest, places }
    }

    /// Sums by place, in ascending order.
    pub fn sums(&self) -> &[(u16, u32)] {
        &self.sums
    }

    /// What each of these places weighs, where that counts.
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref()
    }

    /// How many places there are, with anything in them or not.
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// What no place weighs more than, where weights count.
    pub(super) fn heaviest(&self) -> Option<f64> {
        self.weights.as_ref().map(|_| self.heaviest)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let weights = self.weights.iter().flat_map(|weights| weights.iter()).copied().chain(std::iter::repeat(0.0));
        self.sums.iter().zip(weights).map(|((place, sum), weight)| (*place, *sum, weight))
    }

    /// The trace of the rows of all of these. It has weights where all have.
    pub fn sum<'t>(traces: impl Iterator<Item = &'t Self> + Clone) -> Self {
        let places = traces.clone().map(|trace| trace.places).filter(|places| *places > 0).min().unwrap_or_default();
        Self::added_up(places, traces)
    }

    fn added_up<'t>(places: usize, traces: impl Iterator<Item = &'t Self> + Clone) -> Self {
        let weighs = traces.clone().all(|trace| trace.weights.is_some());
        let mut all: Vec<Entry> = (0..places as u16).map(|place| (place, 0, 0.0)).collect();
        for (place, sum, weight) in traces.flat_map(Self::entries) {
            let entry = &mut all[usize::from(place) & (places - 1)];
            (entry.1, entry.2) = (plus(entry.1, sum), entry.2 + weight);
        }
        Self::of_entries(places, all, weighs)
    }

    /// The same by fewer places: enough to compare where groups need `minimum_entities`.
    pub(super) fn folded_for(&self, minimum_entities: u64) -> Self {
        let wanted = usize::try_from(minimum_entities).unwrap_or(usize::MAX).saturating_mul(PLACES_PER_ENTITY);
        self.folded(wanted.min(TRACE_PLACES).next_power_of_two().clamp(FOLDED_MIN, TRACE_PLACES))
    }

    fn folded(&self, places: usize) -> Self {
        if places >= self.places {
            return self.clone();
        }
        Self::added_up(places, std::iter::once(self))
    }

    /// How the traces differ, where a group has these `needs`.
    pub fn difference(&self, other: &Self, needs: Needs) -> Difference {
        let places = self.places.min(other.places);
        if self.places != other.places {
            return self.folded(places).difference(&other.folded(places), needs);
        }
        let weight_max = self.heaviest().zip(other.heaviest()).map(|(ours, theirs)| ours + theirs);
        let mut shares = Shares::new(needs, places, weight_max);
        if weight_max.is_none() && self.sums.len().abs_diff(other.sums.len()) >= shares.needed {
            return Difference::Enough;
        }
        let (mut ours, mut theirs) = (self.entries().peekable(), other.entries().peekable());
        while !shares.is_enough() {
            let Some((one, another)) = next_place(&mut ours, &mut theirs) else { break };
            let ((_, sum, weight), (_, of, its)) = (one.unwrap_or_default(), another.unwrap_or_default());
            if sum != of {
                shares.add((weight - its).abs());
            }
        }
        shares.judged()
    }
}

/// What none weighs more than, whichever way; without bounds where one is no number.
fn heaviest(weights: impl Iterator<Item = f64>) -> f64 {
    weights.fold(0.0, |heaviest, weight| if weight.is_nan() { f64::INFINITY } else { weight.abs().max(heaviest) })
}

/// What two traces have in the next place that either has anything in.
fn next_place(
    ours: &mut Peekable<impl Iterator<Item = Entry>>,
    theirs: &mut Peekable<impl Iterator<Item = Entry>>,
) -> Option<(Option<Entry>, Option<Entry>)> {
    let order = match (ours.peek(), theirs.peek()) {
        (None, None) => return None,
        (Some((place, ..)), Some((its, ..))) => place.cmp(its),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    };
    Some(match order {
        Ordering::Less => (ours.next(), None),
        Ordering::Equal => (ours.next(), theirs.next()),
        Ordering::Greater => (None, theirs.next()),
    })
}

/// The places that differ, one after the other.
pub(super) struct Shares {
    needed: usize,
    /// Whether a place that weighs nothing tells nothing.
    weighs: bool,
    /// Places that differ, and weigh the same: nothing of them is in the difference of two releases.
    level: usize,
    /// Largest share of the whole; none where weights do not count.
    share_max: Option<f64>,
    /// What no place weighs more than.
    weight_max: f64,
    differing: usize,
    largest: f64,
    whole: f64,
}

impl Shares {
    /// None yet. Of places that weigh something none weighs more than `weight_max`.
    pub(super) fn new(needs: Needs, places: usize, weight_max: Option<f64>) -> Self {
        let share_max = (needs.dominance_percent < 100).then_some(needs.dominance_percent as f64 / 100.0);
        Self {
            needed: needed(needs.minimum_entities, places),
            weighs: weight_max.is_some(),
            level: 0,
            share_max: share_max.filter(|_| weight_max.is_some()),
            weight_max: weight_max.unwrap_or_default(),
            differing: 0,
            largest: 0.0,
            whole: 0.0,
        }
    }

    /// One more place that differs, by this weight.
    pub(super) fn add(&mut self, weight: f64) {
        if self.weighs && weight == 0.0 {
            self.level += 1;
            return;
        }
        self.differing += 1;
        self.largest = self.largest.max(weight);
        self.whole += weight;
    }

    /// Several more that differ, by these weights together, none of which is more than the largest there can be.
    pub(super) fn add_several(&mut self, differing: usize, weights: f64) {
        self.differing += differing;
        self.largest = self.weight_max;
        self.whole += weights;
    }

    /// Whether what differs is enough, whatever else does.
    pub(super) fn is_enough(&self) -> bool {
        let shared = |share| self.whole.is_finite() && self.weight_max <= self.whole * share;
        let shared = self.share_max.is_none_or(shared);
        self.differing >= self.needed && shared
    }

    pub(super) fn judged(&self) -> Difference {
        // What is not a number is not a small share either.
        let shared = |share| self.whole.is_finite() && self.largest <= self.whole * share;
        match of_count(self.differing, self.needed) {
            // Other rows that come to the same, of whoever: the difference is nothing.
            Difference::None if self.level > 0 => Difference::Enough,
            Difference::Enough if !self.share_max.is_none_or(shared) => Difference::TooFew,
            other => other,
        }
    }
}

/// Places that have to differ, where a group needs `minimum_entities`.
pub(super) fn needed(minimum_entities: u64, places: usize) -> usize {
    usize::try_from(minimum_entities).unwrap_or(usize::MAX).min(places / COMPARED_PART).max(1)
}

pub(super) fn of_count(differing: usize, needed: usize) -> Difference {
    match differing {
        0 => Difference::None,
        few if few < needed => Difference::TooFew,
        _ => Difference::Enough,
    }
}

pub(super) fn plus(one: u32, other: u32) -> u32 {
    let sum = one + other;
    // One of them wraps around: without a branch.
    sum.min(sum.wrapping_sub(PRIME))
}

/// 2^31 is one more than the prime, so that what is above the lowest 31 bits counts as it is.
pub(super) fn times(one: u32, other: u32) -> u32 {
    let product = u64::from(one) * u64::from(other);
    plus((product & u64::from(PRIME)) as u32, (product >> 31) as u32)
}

pub(super) fn negative(number: u32) -> u32 {
    if number == 0 { 0 } else { PRIME - number }
}

/// By Fermat's little theorem.
pub(super) fn inverse(number: u32) -> u32 {
    let (mut power, mut result, mut exponent) = (number, 1, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, power);
        }
        power = times(power, power);
        exponent >>= 1;
    }
    result
}
