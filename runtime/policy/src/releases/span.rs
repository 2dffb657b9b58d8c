//! What can be made of several releases by adding and subtracting, with any factors.
//!
//! Traces add up as the sums do that they stand behind: where a combination of answers is a sum over few entities, the
//! same combination of their traces has few places that are not zero. Traces are kept as a basis in echelon form. A new
//! one, reduced by it, is such a combination itself if there is one, unless an entity that is left has the place of a
//! pivot; with one more multiple of one basis vector, unless two have.

use std::collections::BTreeMap;

use super::trace::{
    Difference, Needs, PRIME, Shares, TRACE_PLACES, Trace, inverse, needed, negative, of_count, plus, times,
};

/// Releases that are combined; at most so many of the places are pivots.
const RELEASES_MAX: usize = 128;
/// Releases whose weights are known: combinations stay known that are partly of older releases.
const WEIGHTS_MAX: usize = 2 * RELEASES_MAX;
/// Places that a factor is guessed from.
const GUESSES: usize = 4;
/// Largest factor, whichever way, of a combination whose weights are combined as well: with others nobody would get
/// at sums that anybody could read anything out of.
const FACTOR_MAX: u32 = 16;

#[derive(Debug, Default)]
pub(super) struct Span {
    basis: Vec<Vector>,
    /// Pivots are chosen evenly over the places.
    next_pivot: usize,
    /// What the places of releases weigh, by the releases' numbers.
    weights: BTreeMap<u64, Vec<f64>>,
    next_release: u64,
}

/// One vector of the basis.
#[derive(Debug)]
struct Vector {
    /// Where it is one and all others are zero.
    pivot: usize,
    sums: Vec<u32>,
    combination: Combination,
}

/// How often each release is in a combination, modulo the prime; none where one of them is forgotten.
type Combination = Option<BTreeMap<u64, u32>>;

/// A release less what of it is a combination of earlier ones.
struct Reduced {
    sums: Vec<u32>,
    /// Of the earlier ones.
    combination: Combination,
}

impl Span {
    /// How the release differs from the nearest combination of those before it that is found.
    pub(super) fn difference(&self, trace: &Trace, needs: Needs) -> Difference {
        let needed = needed(needs.minimum_entities, TRACE_PLACES);
        let reduced = self.reduced(trace);
        match of_count(reduced.sums.iter().filter(|sum| **sum != 0).count(), needed) {
            Difference::Enough if self.is_near(trace, &reduced, needs) => Difference::TooFew,
            Difference::None if needs.strict => Difference::TooFew,
            // A combination of earlier releases tells nothing that is not known, but is a new group all the same.
            Difference::None => Difference::Enough,
            other => other,
        }
    }

    /// Whether the reduced release, or what it differs by from a multiple of one more vector, is of too few.
    fn is_near(&self, trace: &Trace, reduced: &Reduced, needs: Needs) -> bool {
        let needed = needed(needs.minimum_entities, TRACE_PLACES);
        if self.is_dominated(trace, reduced, needs) {
            return true;
        }
        let mut nearer = self.basis.iter().flat_map(|vector| {
            factors(&reduced.sums, &vector.sums).into_iter().map(move |factor| reduced.less(factor, vector))
        });
        nearer.any(|nearer| {
            let differing = nearer.sums.iter().filter(|sum| **sum != 0).count();
            (1..needed).contains(&differing) || differing > 0 && self.is_dominated(trace, &nearer, needs)
        })
    }

    /// Whether one entity contributes too much of a combination, where that is known: where all releases in it have
    /// small factors.
    fn is_dominated(&self, trace: &Trace, reduced: &Reduced, needs: Needs) -> bool {
        let (Some(weights), Some(combination)) = (trace.weights(), &reduced.combination) else { return false };
        if combination.is_empty() {
            return false;
        }
        let mut whole = vec![0.0; TRACE_PLACES];
        for ((place, _), weight) in trace.sums().iter().zip(weights) {
            whole[usize::from(*place)] = *weight;
        }
        for (release, factor) in combination {
            let (Some(weights), Some(factor)) = (self.weights.get(release), small(*factor)) else { return false };
            whole.iter_mut().zip(weights).for_each(|(whole, weight)| *whole += factor * weight);
        }
        let mut shares = Shares::new(needs, TRACE_PLACES, Some(f64::MAX));
        let left = whole.iter().zip(&reduced.sums).filter(|(_, sum)| **sum != 0);
        left.for_each(|(weight, _)| shares.add(weight.abs()));
        shares.judged() == Difference::TooFew
    }

    /// Notes a release.
    pub(super) fn take_in(&mut self, trace: &Trace) {
        let Reduced { sums: reduced, combination } = self.reduced(trace);
        let from = self.next_pivot;
        let Some(pivot) = (0..TRACE_PLACES).map(|at| (from + at) % TRACE_PLACES).find(|at| reduced[*at] != 0) else {
            return;
        };
        // Far from the last one, and in time everywhere: 389 is prime to the number of places.
        self.next_pivot = (pivot + 389) % TRACE_PLACES;
        let scale = inverse(reduced[pivot]);
        let sums: Vec<u32> = reduced.into_iter().map(|sum| times(sum, scale)).collect();
        let release = self.note_weights(trace);
        let combination = combination.zip(release).map(|(mut combination, release)| {
            combination.insert(release, 1);
            combination.values_mut().for_each(|factor| *factor = times(*factor, scale));
            combination
        });
        let vector = Vector { pivot, sums, combination };
        for other in &mut self.basis {
            let factor = other.sums[pivot];
            subtract(&mut other.sums, factor, &vector.sums);
            combine(&mut other.combination, factor, &vector.combination);
        }
        if self.basis.len() == RELEASES_MAX {
            self.basis.remove(0);
        }
        self.basis.push(vector);
    }

    /// Keeps the weights of a release that has any, and forgets those of the oldest.
    fn note_weights(&mut self, trace: &Trace) -> Option<u64> {
        let mut weights = vec![0.0; TRACE_PLACES];
        for ((place, _), weight) in trace.sums().iter().zip(trace.weights()?) {
            weights[usize::from(*place)] = *weight;
        }
        let release = self.next_release;
        self.next_release += 1;
        self.weights.insert(release, weights);
        if self.weights.len() > WEIGHTS_MAX {
            let gone = self.weights.pop_first().map(|(release, _)| release);
            for vector in &mut self.basis {
                let forgets = |parts: &mut BTreeMap<u64, u32>| gone.is_some_and(|gone| parts.contains_key(&gone));
                vector.combination.take_if(forgets);
            }
        }
        Some(release)
    }

    fn reduced(&self, trace: &Trace) -> Reduced {
        let mut sums = vec![0; TRACE_PLACES];
        for (place, sum) in trace.sums() {
            sums[usize::from(*place)] = *sum;
        }
        let mut reduced = Reduced { sums, combination: Some(BTreeMap::new()) };
        for vector in &self.basis {
            let factor = reduced.sums[vector.pivot];
            reduced.subtract(factor, vector);
        }
        reduced
    }
}

impl Reduced {
    fn subtract(&mut self, factor: u32, vector: &Vector) {
        subtract(&mut self.sums, factor, &vector.sums);
        combine(&mut self.combination, factor, &vector.combination);
    }

    fn less(&self, factor: u32, vector: &Vector) -> Self {
        let mut less = Self { sums: self.sums.clone(), combination: self.combination.clone() };
        less.subtract(factor, vector);
        less
    }
}

/// The factor as a number, where it is a small one.
fn small(factor: u32) -> Option<f64> {
    match factor {
        factor if factor <= FACTOR_MAX => Some(f64::from(factor)),
        factor if factor >= PRIME - FACTOR_MAX => Some(-f64::from(PRIME - factor)),
        _ => None,
    }
}

/// Subtracts a multiple of another combination.
fn combine(from: &mut Combination, factor: u32, other: &Combination) {
    if factor == 0 {
        return;
    }
    let Some((parts, other)) = from.as_mut().zip(other.as_ref()) else {
        *from = None;
        return;
    };
    let minus = negative(factor);
    for (release, part) in other {
        let part = plus(parts.get(release).copied().unwrap_or_default(), times(minus, *part));
        if part == 0 {
            parts.remove(release);
        } else {
            parts.insert(*release, part);
        }
    }
}

fn subtract(from: &mut [u32], factor: u32, vector: &[u32]) {
    if factor == 0 {
        return;
    }
    let minus = negative(factor);
    from.iter_mut().zip(vector).for_each(|(sum, part)| *sum = plus(*sum, times(minus, *part)));
}

/// The factors by which multiples of `vector` may differ from `reduced` in few places: most places agree on those.
fn factors(reduced: &[u32], vector: &[u32]) -> Vec<u32> {
    let both = reduced.iter().copied().zip(vector.iter().copied()).filter(|(sum, part)| *sum != 0 && *part != 0);
    let guesses: Vec<(u32, u32)> = both.take(GUESSES).collect();
    // Fractions are compared by cross products: dividing takes far longer, and most agree with no other.
    let agree = |one: (u32, u32), other: (u32, u32)| times(one.0, other.1) == times(other.0, one.1);
    let agreed = |(number, guess): &(usize, (u32, u32))| {
        let is_new = !guesses[..*number].iter().any(|other| agree(*guess, *other));
        is_new && guesses[number + 1..].iter().any(|other| agree(*guess, *other))
    };
    let agreed = guesses.iter().copied().enumerate().filter(agreed);
    agreed.map(|(_, (sum, part))| times(sum, inverse(part))).collect()
}
