//! Quantiles of any number of values in bounded memory: a DDSketch with a relative accuracy of 1 %.
//!
//! `approx_quantile(value double, q double) -> double` is an aggregate. Rows where `value` or `q` is null, and rows
//! where `value` is NaN, do not count. `q` is from 0 to 1 and the same in all rows of a group; anything else is an
//! error. Let there be `n` rows that count. Where `n` is 0, the answer is null. Otherwise it stands for the value `x`
//! at position `floor(q (n - 1))`, from 0 on, in ascending order (the product in binary64), and differs from `x` by at
//! most 1 % of `x`.
//!
//! # The sketch
//!
//! With `g = 1.01 / 0.99`, a finite value of magnitude `v` belongs to the bucket `i = ceil(ln v / ln g)`, so that
//! `g^(i-1) < v <= g^i`, and the answer for it is `2 g^i / (g + 1)`, with the sign of the value, never beyond the
//! largest finite number. There are buckets for positive and for negative values. Infinities have counts of their own,
//! and are answered as such. Magnitudes below 2.2250738585072014e-308 count, and are answered, as zero.
//!
//! Of the positive buckets those above `m - 2048` are kept, `m` being the highest one in use; lower ones are added to
//! the lowest that is kept. The same holds for the negative ones. So the accuracy holds unless the magnitudes of one
//! sign span more than seventeen powers of ten, and then for the larger ones. As the rule depends on the highest bucket
//! only, merging the sketches of parts gives exactly the sketch of the whole, in any order.
//!
//! # States as bytes
//!
//! The version 1 as one byte; `q` as little-endian binary64, NaN where no row counted; then unsigned LEB128 numbers:
//! how many values are negative infinity, zero, and positive infinity; for the negative and then for the positive side
//! how many buckets follow, and for each bucket in ascending order its distance to the one before (zigzag-encoded; for
//! the first, to 0) and its count, which is not zero.

mod encoding;
mod sketch;

pub use sketch::{BUCKETS_MAX, Sketch};

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    use crate::Sketch;

    /// The state of `approx_quantile`.
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct ApproxQuantile {
        pub(crate) quantile: Option<f64>,
        pub(crate) sketch: Sketch,
    }

    #[aggregate]
    impl ApproxQuantile {
        /// Counts a value. An error says what is wrong with `q`.
        pub fn update(&mut self, value: f64, q: f64) -> Result<(), String> {
            if self.quantile != Some(q) {
                self.agree(q)?;
            }
            self.sketch.insert(value);
            Ok(())
        }

        /// Counts what another state counted.
        pub fn merge(&mut self, other: &Self) -> Result<(), String> {
            if let Some(q) = other.quantile {
                self.agree(q)?;
            }
            self.sketch.merge(&other.sketch);
            Ok(())
        }

        /// The quantile.
        pub fn finish(&self) -> Option<f64> {
            self.sketch.quantile(self.quantile?)
        }

        /// As the crate's documentation says.
        pub fn to_bytes(&self) -> Vec<u8> {
            crate::encoding::write(self)
        }

        /// What [`Self::to_bytes`] wrote; an error where it did not.
        pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
            crate::encoding::read(bytes).ok_or_else(|| "these bytes are no state of `approx_quantile`".to_owned())
        }

        fn agree(&mut self, q: f64) -> Result<(), String> {
            match self.quantile {
                _ if !(0.0..=1.0).contains(&q) => Err(format!("`q` is {q}; it has to be from 0 to 1")),
                Some(own) if own != q => Err(format!("`q` is {own} and {q}; it has to be the same for all rows")),
                _ => {
                    self.quantile = Some(q);
                    Ok(())
                }
            }
        }
    }
}
