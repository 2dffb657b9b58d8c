//! Constants that sums are computed with.
//!
//! One that is far larger than what it is added to rounds small values away, and one that values are multiplied with may
//! take large ones beyond what a number can be: both tell values apart as a condition does.

/// Largest factor that a column may have, and the inverse of the smallest.
const SCALE_MAX: f64 = 1e4;
/// Largest summand beside a column with the factor one, where numbers are rounded: the sum of a few thousand rows is
/// rounded as much.
const ROUNDED_OFFSET_MAX: f64 = 1e4;
/// The same where numbers are exact.
const EXACT_OFFSET_MAX: f64 = 1e9;

/// The constants in an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Constants {
    /// The expression itself, where it is one.
    value: Option<f64>,
    /// The smallest and the largest factor of its columns.
    scale_min: f64,
    scale_max: f64,
    /// The sum of what is added to them.
    offset: f64,
    /// How many times something is.
    shifts: u32,
    /// Whether there are any.
    any: bool,
}

impl Default for Constants {
    fn default() -> Self {
        Self { value: None, scale_min: 1.0, scale_max: 1.0, offset: 0.0, shifts: 0, any: false }
    }
}

impl Constants {
    /// A number.
    pub(super) fn of(value: Option<f64>) -> Self {
        Self { value, ..Self::default() }
    }

    /// Whether it is a number that is not known here.
    pub(super) fn is_unknown(self) -> bool {
        self.value.is_none()
    }

    /// Whether columns are computed with any.
    pub(crate) fn are_there(self) -> bool {
        self.any
    }

    /// Those of either.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            value: None,
            scale_min: self.scale_min.min(other.scale_min),
            scale_max: self.scale_max.max(other.scale_max),
            offset: self.offset.max(other.offset),
            shifts: self.shifts.max(other.shifts),
            any: self.any || other.any || self.value.is_some() || other.value.is_some(),
        }
    }

    /// Those of the sum of both, or the difference.
    pub(super) fn plus(self, other: Self, is_difference: bool) -> Self {
        match (self.value, other.value) {
            (Some(one), Some(two)) => Self::of(Some(if is_difference { one - two } else { one + two })),
            (Some(summand), None) => other.shifted(summand),
            (None, Some(summand)) => self.shifted(summand),
            (None, None) => {
                let (offset, shifts) = (self.offset + other.offset, self.shifts.saturating_add(other.shifts));
                Self { offset, shifts, ..self.or(other) }
            }
        }
    }

    fn shifted(self, summand: f64) -> Self {
        let shifts = self.shifts.saturating_add(1);
        Self { offset: self.offset + summand.abs(), shifts, any: true, ..self }
    }

    /// Those of the product of both.
    pub(super) fn times(self, other: Self) -> Self {
        match (self.value, other.value) {
            (Some(one), Some(two)) => Self::of(Some(one * two)),
            (Some(factor), None) => other.scaled(factor),
            (None, Some(factor)) => self.scaled(factor),
            (None, None) => Self {
                scale_min: self.scale_min * other.scale_min,
                scale_max: self.scale_max * other.scale_max,
                ..self.or(other)
            },
        }
    }

    /// Those of the quotient by a constant.
    pub(super) fn over(self, other: Self) -> Self {
        match (self.value, other.value) {
            (Some(one), Some(two)) => Self::of(Some(one / two)),
            (None, Some(divisor)) => self.scaled(1.0 / divisor),
            _ => self.or(other),
        }
    }

    /// Whether it is a number that decimals are divided by without a remainder.
    pub(super) fn is_power_of_ten(self) -> bool {
        self.value.is_some_and(|number| {
            let exponent = number.abs().log10();
            (exponent - exponent.round()).abs() < 1e-12
        })
    }

    /// Times nothing is nothing, whoever is in it.
    fn scaled(self, factor: f64) -> Self {
        let factor = if factor == 0.0 { 1.0 } else { factor.abs() };
        Self {
            value: self.value.map(|value| value * factor),
            scale_min: self.scale_min * factor,
            scale_max: self.scale_max * factor,
            offset: self.offset * factor,
            any: true,
            ..self
        }
    }

    /// Whether they are too small to tell values apart, in numbers that are rounded or not. What is added to a rounded
    /// number and taken away again leaves of it what the rounding did.
    pub(super) fn are_small(self, is_rounded: bool) -> bool {
        let (offset_max, shifts_max) = if is_rounded { (ROUNDED_OFFSET_MAX, 1) } else { (EXACT_OFFSET_MAX, u32::MAX) };
        // Not a number is within no bounds.
        let within = self.scale_min >= 1.0 / SCALE_MAX && self.scale_max <= SCALE_MAX;
        within && self.offset <= self.scale_min * offset_max && self.shifts <= shifts_max
    }
}
