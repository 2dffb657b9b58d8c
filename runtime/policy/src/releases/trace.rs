//! Traces of rows.

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// By ascending place; sums that are not zero only.
    sums: Vec<(u16, u32)>,
    places: usize,
}

/// How two traces differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The same rows.
    None,
    /// Rows of fewer entities than a group needs.
    TooFew,
    /// Rows of enough entities.
    Enough,
}

impl Trace {
    /// The trace of these marks, each with the place of its entity. Places are below [`TRACE_PLACES`].
    pub fn of(marks: impl IntoIterator<Item = (u16, u32)>) -> Self {
        Self::with_places(TRACE_PLACES, marks)
    }

    /// A sum of marks, as it is added.
    pub fn reduced(sum: u64) -> u32 {
        (sum % u64::from(PRIME)) as u32
    }

    fn with_places(places: usize, marks: impl IntoIterator<Item = (u16, u32)>) -> Self {
        let fold = |(place, mark): (u16, u32)| (place & (places - 1) as u16, mark % PRIME);
        let mut marks: Vec<(u16, u32)> = marks.into_iter().map(fold).collect();
        marks.sort_unstable_by_key(|(place, _)| *place);
        let mut sums: Vec<(u16, u32)> = Vec::with_capacity(marks.len());
        for (place, mark) in marks {
            match sums.last_mut() {
                Some((last, sum)) if *last == place => *sum = plus(*sum, mark),
                _ => sums.push((place, mark)),
            }
        }
        sums.retain(|(_, sum)| *sum != 0);
        Self { sums, places }
    }

    /// Sums by place, in ascending order.
    pub fn sums(&self) -> &[(u16, u32)] {
        &self.sums
    }

    /// The trace of the rows of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self::with_places(self.places.max(1), self.sums.iter().chain(&other.sums).copied())
    }

    /// The same by fewer places: enough to compare where groups need `minimum_entities`.
    pub(super) fn folded_for(&self, minimum_entities: u64) -> Self {
        let wanted = usize::try_from(minimum_entities).unwrap_or(usize::MAX).saturating_mul(PLACES_PER_ENTITY);
        self.folded(wanted.min(TRACE_PLACES).next_power_of_two().clamp(FOLDED_MIN, TRACE_PLACES))
    }

    fn folded(&self, places: usize) -> Self {
        if places >= self.places { self.clone() } else { Self::with_places(places, self.sums.iter().copied()) }
    }

    /// How the traces differ, where a group needs `minimum_entities`.
    pub fn difference(&self, other: &Self, minimum_entities: u64) -> Difference {
        let places = self.places.min(other.places);
        if self.places != other.places {
            return self.folded(places).difference(&other.folded(places), minimum_entities);
        }
        let needed = needed(minimum_entities, places);
        if self.sums.len().abs_diff(other.sums.len()) >= needed {
            return Difference::Enough;
        }
        let (mut ours, mut theirs) = (self.sums.as_slice(), other.sums.as_slice());
        let mut differing = 0;
        while differing < needed {
            let (one, another) = (ours.first(), theirs.first());
            match (one, another) {
                (None, None) => break,
                (Some((place, sum)), Some((its, of))) if place == its => {
                    differing += usize::from(sum != of);
                    (ours, theirs) = (&ours[1..], &theirs[1..]);
                }
                (Some((place, _)), Some((its, _))) if place > its => {
                    (theirs, differing) = (&theirs[1..], differing + 1)
                }
                (None, Some(_)) => (theirs, differing) = (&theirs[1..], differing + 1),
                (Some(_), _) => (ours, differing) = (&ours[1..], differing + 1),
            }
        }
        of_count(differing, needed)
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
    if sum >= PRIME { sum - PRIME } else { sum }
}

pub(super) fn times(one: u32, other: u32) -> u32 {
    (u64::from(one) * u64::from(other) % u64::from(PRIME)) as u32
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
