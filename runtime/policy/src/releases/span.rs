//! What can be made of several releases by adding and subtracting, with any factors.
//!
//! Traces add up as the sums do that they stand behind: where a combination of answers is a sum over few entities, the
//! same combination of their traces has few places that are not zero. Traces are kept as a basis in echelon form. A new
//! one, reduced by it, is such a combination itself if there is one, unless an entity that is left has the place of a
//! pivot; with one more multiple of one basis vector, unless two have.

use super::trace::{Difference, TRACE_PLACES, Trace, inverse, needed, negative, of_count, plus, times};

/// Releases that are combined; at most so many of the places are pivots.
const RELEASES_MAX: usize = 128;
/// Places that a factor is guessed from.
const GUESSES: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Span {
    /// Each with its pivot, where it is one and all others are zero.
    basis: Vec<(usize, Vec<u32>)>,
    /// Pivots are chosen evenly over the places.
    next_pivot: usize,
}

impl Span {
    /// How the release differs from the nearest combination of those before it that is found.
    pub(super) fn difference(&self, trace: &Trace, minimum_entities: u64) -> Difference {
        let needed = needed(minimum_entities, TRACE_PLACES);
        let reduced = self.reduced(trace);
        match of_count(reduced.iter().filter(|sum| **sum != 0).count(), needed) {
            Difference::Enough if self.basis.iter().any(|(_, vector)| is_near(&reduced, vector, needed)) => {
                Difference::TooFew
            }
            // A combination of earlier releases tells nothing that is not known, but is a new group all the same.
            Difference::None => Difference::Enough,
            other => other,
        }
    }

    /// Notes a release.
    pub(super) fn take_in(&mut self, trace: &Trace) {
        let reduced = self.reduced(trace);
        let from = self.next_pivot;
        let Some(pivot) = (0..TRACE_PLACES).map(|at| (from + at) % TRACE_PLACES).find(|at| reduced[*at] != 0) else {
            return;
        };
        // Far from the last one, and in time everywhere: 389 is prime to the number of places.
        self.next_pivot = (pivot + 389) % TRACE_PLACES;
        let scale = inverse(reduced[pivot]);
        let vector: Vec<u32> = reduced.into_iter().map(|sum| times(sum, scale)).collect();
        for (_, other) in &mut self.basis {
            let factor = other[pivot];
            subtract(other, factor, &vector);
        }
        if self.basis.len() == RELEASES_MAX {
            self.basis.remove(0);
        }
        self.basis.push((pivot, vector));
    }

    fn reduced(&self, trace: &Trace) -> Vec<u32> {
        let mut reduced = vec![0; TRACE_PLACES];
        for (place, sum) in trace.sums() {
            reduced[usize::from(*place)] = *sum;
        }
        for (pivot, vector) in &self.basis {
            let factor = reduced[*pivot];
            subtract(&mut reduced, factor, vector);
        }
        reduced
    }
}

fn subtract(from: &mut [u32], factor: u32, vector: &[u32]) {
    if factor == 0 {
        return;
    }
    let minus = negative(factor);
    from.iter_mut().zip(vector).for_each(|(sum, part)| *sum = plus(*sum, times(minus, *part)));
}

/// Whether some multiple of `vector` differs from `reduced` in few places. Most places then agree on the factor.
fn is_near(reduced: &[u32], vector: &[u32], needed: usize) -> bool {
    let both = reduced.iter().zip(vector).filter(|(sum, part)| **sum != 0 && **part != 0);
    let guesses: Vec<u32> = both.take(GUESSES).map(|(sum, part)| times(*sum, inverse(*part))).collect();
    guesses.iter().enumerate().any(|(number, factor)| {
        let is_new = !guesses[..number].contains(factor);
        let agreed = guesses.iter().filter(|guess| *guess == factor).count() > 1;
        let differing = || {
            let differ = reduced.iter().zip(vector).filter(|(sum, part)| **sum != times(*factor, **part));
            differ.take(needed).count()
        };
        is_new && agreed && (1..needed).contains(&differing())
    })
}
