//! The sketch itself.

use std::collections::BTreeMap;

/// Buckets that one side of a sketch keeps, from the highest one down.
pub const BUCKETS_MAX: i32 = 2048;
/// `(1 + a) / (1 - a)`, where `a` is the relative accuracy.
const GROWTH: f64 = 1.01 / 0.99;
/// Its natural logarithm.
const GROWTH_LN: f64 = 0.020000666706669435;

/// Counts of values of one sign, by magnitude.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Side {
    pub(crate) buckets: BTreeMap<i32, u64>,
}

impl Side {
    pub(crate) fn add(&mut self, bucket: i32, count: u64) {
        let highest = self.buckets.last_key_value().map(|(highest, _)| *highest);
        let lowest_kept = highest.map_or(bucket, |highest| highest.max(bucket)) - (BUCKETS_MAX - 1);
        let sum = self.buckets.entry(bucket.max(lowest_kept)).or_default();
        *sum = sum.saturating_add(count);
        if highest.is_none_or(|highest| bucket > highest) {
            self.collapse(lowest_kept);
        }
    }

    fn collapse(&mut self, lowest_kept: i32) {
        if self.buckets.first_key_value().is_some_and(|(lowest, _)| *lowest < lowest_kept) {
            let kept = self.buckets.split_off(&lowest_kept);
            let below = std::mem::replace(&mut self.buckets, kept);
            let below = below.into_values().fold(0, u64::saturating_add);
            let sum = self.buckets.entry(lowest_kept).or_default();
            *sum = sum.saturating_add(below);
        }
    }

    fn merge(&mut self, other: &Self) {
        // The highest first, so that none is put where it would be collapsed later.
        other.buckets.iter().rev().for_each(|(bucket, count)| self.add(*bucket, *count));
    }

    fn count(&self) -> u64 {
        self.buckets.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// Counts of values, by which any quantile is known to 1 %.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sketch {
    pub(crate) negative_infinities: u64,
    pub(crate) negative: Side,
    pub(crate) zeros: u64,
    pub(crate) positive: Side,
    pub(crate) positive_infinities: u64,
}

impl Sketch {
    /// Counts a value; NaN is none.
    pub fn insert(&mut self, value: f64) {
        match value {
            f64::INFINITY => self.positive_infinities += 1,
            f64::NEG_INFINITY => self.negative_infinities += 1,
            _ if value.is_nan() => {}
            _ if value >= f64::MIN_POSITIVE => self.positive.add(bucket(value), 1),
            _ if value <= -f64::MIN_POSITIVE => self.negative.add(bucket(-value), 1),
            _ => self.zeros += 1,
        }
    }

    /// Counts what another sketch counted.
    pub fn merge(&mut self, other: &Self) {
        self.negative_infinities = self.negative_infinities.saturating_add(other.negative_infinities);
        self.negative.merge(&other.negative);
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.positive.merge(&other.positive);
        self.positive_infinities = self.positive_infinities.saturating_add(other.positive_infinities);
    }

    /// The value at position `floor(q (n - 1))` of the `n` values counted; none where there are none.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let ascending = || {
            let negative = self.negative.buckets.iter().rev().map(|(bucket, count)| (-value(*bucket), *count));
            let positive = self.positive.buckets.iter().map(|(bucket, count)| (value(*bucket), *count));
            std::iter::once((f64::NEG_INFINITY, self.negative_infinities))
                .chain(negative)
                .chain([(0.0, self.zeros)])
                .chain(positive)
                .chain([(f64::INFINITY, self.positive_infinities)])
        };
        let position = (q * self.count().checked_sub(1)? as f64).floor() as u64;
        let mut passed = 0_u64;
        let found = ascending().find(|(_, count)| {
            passed = passed.saturating_add(*count);
            passed > position
        });
        // Beyond 2^53 values the position may be rounded past the last one.
        found.or_else(|| ascending().rfind(|(_, count)| *count > 0)).map(|(value, _)| value)
    }

    fn count(&self) -> u64 {
        let counts = [
            self.negative_infinities,
            self.negative.count(),
            self.zeros,
            self.positive.count(),
            self.positive_infinities,
        ];
        counts.into_iter().fold(0, u64::saturating_add)
    }
}

/// The bucket of a magnitude. `libm` computes the same everywhere.
fn bucket(magnitude: f64) -> i32 {
    libm::ceil(libm::log(magnitude) / GROWTH_LN) as i32
}

/// What stands for a bucket.
fn value(bucket: i32) -> f64 {
    libm::exp(f64::from(bucket) * GROWTH_LN + libm::log(2.0 / (GROWTH + 1.0))).min(f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, from a multiplicative generator.
    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let fraction = (state >> 11) as f64 / (1_u64 << 53) as f64;
            (fraction * 30.0 - 10.0).exp() * if state & 1 << 5 == 0 { -1.0 } else { 1.0 }
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.insert(*value));
        sketch
    }

    #[test]
    fn the_logarithm_is_that_of_the_growth() {
        assert_eq!(GROWTH_LN, libm::log(GROWTH));
    }

    #[test]
    fn quantiles_are_within_one_per_cent() {
        let mut values = numbers(10_001, 7);
        let sketch = sketch(&values);
        values.sort_by(f64::total_cmp);
        for step in 0..=1000 {
            let q = f64::from(step) / 1000.0;
            let exact = values[(q * 10_000.0).floor() as usize];
            let found = sketch.quantile(q).expect("there are values");
            assert!((found - exact).abs() <= exact.abs() * (0.01 + 1e-9), "{q}: {found}, exactly {exact}");
        }
    }

    #[test]
    fn the_extremes_have_their_place() {
        let values = [f64::INFINITY, f64::NAN, -0.0, f64::NEG_INFINITY, 5e-324, f64::MAX, -f64::MAX];
        let sketch = sketch(&values);
        let found: Vec<f64> = (0..6).filter_map(|step| sketch.quantile(f64::from(step) / 5.0)).collect();
        assert_eq!([found[0], found[2], found[3], found[5]], [f64::NEG_INFINITY, 0.0, 0.0, f64::INFINITY]);
        assert!(found[1].is_finite() && found[1] < -0.98 * f64::MAX && found[4] == -found[1]);
        assert_eq!(super::tests::sketch(&[f64::NAN]).quantile(0.5), None);
    }

    #[test]
    fn merged_parts_are_the_whole_even_where_buckets_are_collapsed() {
        let mut values = numbers(3_000, 3);
        values.extend((-300..300).map(|power| 10_f64.powi(power)));
        values.extend([f64::INFINITY, 0.0, f64::NEG_INFINITY]);
        let whole = sketch(&values);
        for parts in [2, 3, 7] {
            let part = |part: usize| Vec::from_iter(values.iter().copied().skip(part).step_by(parts));
            let forward = (0..parts).fold(Sketch::default(), |mut merged, index| {
                merged.merge(&sketch(&part(index)));
                merged
            });
            let backward = (0..parts).rev().fold(Sketch::default(), |mut merged, index| {
                merged.merge(&sketch(&part(index)));
                merged
            });
            assert_eq!((&forward, &backward), (&whole, &whole));
        }
        let buckets = &whole.positive.buckets;
        let span = buckets.last_key_value().zip(buckets.first_key_value()).map(|(last, first)| last.0 - first.0);
        assert_eq!(span, Some(BUCKETS_MAX - 1), "the case is one where buckets are collapsed");
    }
}
