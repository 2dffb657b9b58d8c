//! Numbers of every type that can be added up.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int32Array, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type, i256};

/// The only NaN that comes out of an addition, whatever went in.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Characters of the longest number of 256 bits.
const EXACT_CHARS_MAX: usize = 78;

/// A number, or a difference of two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// An integer, or a decimal times the power of ten that makes it one. Differences of the widest decimals take more
    /// than 128 bits.
    Exact(i256),
    /// A double.
    Double(f64),
}

impl Number {
    /// The number at a place of an array; none where it is missing or the array is not of numbers.
    pub(super) fn of(array: &dyn Array, index: usize) -> Option<Self> {
        if array.is_null(index) {
            return None;
        }
        let exact = |value: i128| Some(Self::Exact(i256::from_i128(value)));
        match array.data_type() {
            DataType::Int64 => exact(array.as_primitive::<Int64Type>().value(index).into()),
            DataType::Int32 => exact(array.as_primitive::<Int32Type>().value(index).into()),
            DataType::Decimal128(..) => exact(array.as_primitive::<Decimal128Type>().value(index)),
            DataType::Float64 => Some(Self::Double(array.as_primitive::<Float64Type>().value(index))),
            _ => None,
        }
    }

    /// The number that [`Number`] was displayed as, where it is one for a column of this type.
    pub(super) fn parse(text: &str, kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Float64 => text.parse().ok().map(Self::Double),
            // Reading it takes a call for every 38 digits, so that longer texts could exhaust the stack.
            _ => Some(text).filter(|text| text.len() <= EXACT_CHARS_MAX).and_then(i256::from_string).map(Self::Exact),
        }
    }

    /// 0 of the same kind.
    pub(super) fn zero(self) -> Self {
        match self {
            Self::Exact(_) => Self::Exact(i256::ZERO),
            Self::Double(_) => Self::Double(0.0),
        }
    }

    /// The sum; of numbers beyond 256 bits, the greatest or least there is.
    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => {
                Self::Exact(one.checked_add(other).unwrap_or(limit(other.is_negative())))
            }
            (Self::Double(one), Self::Double(other)) => Self::Double(canonical(one + other)),
            _ => Self::Double(NAN),
        }
    }

    /// The difference; beyond 256 bits, the greatest or least there is.
    pub(super) fn minus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => {
                Self::Exact(one.checked_sub(other).unwrap_or(limit(!other.is_negative())))
            }
            (Self::Double(one), Self::Double(other)) => Self::Double(canonical(one - other)),
            _ => Self::Double(NAN),
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self == self.zero()
    }

    pub(super) fn is_finite(self) -> bool {
        match self {
            Self::Exact(_) => true,
            Self::Double(value) => value.is_finite(),
        }
    }

    /// An array of this number, or of the type's greatest or least where it does not fit; none where the type is not of
    /// this kind.
    pub(super) fn array(self, kind: &DataType) -> Option<ArrayRef> {
        let fitted = |min: i128, max: i128| match self {
            Self::Exact(value) => {
                Some(value.to_i128().unwrap_or(if value.is_negative() { min } else { max }).clamp(min, max))
            }
            Self::Double(_) => None,
        };
        match (kind, self) {
            (DataType::Int64, _) => {
                let value = i64::try_from(fitted(i64::MIN.into(), i64::MAX.into())?).ok()?;
                Some(Arc::new(Int64Array::from(vec![value])))
            }
            (DataType::Int32, _) => {
                let value = i32::try_from(fitted(i32::MIN.into(), i32::MAX.into())?).ok()?;
                Some(Arc::new(Int32Array::from(vec![value])))
            }
            (DataType::Decimal128(precision, scale), _) => {
                let max = 10_i128.checked_pow((*precision).into())? - 1;
                let array = Decimal128Array::from(vec![fitted(-max, max)?]);
                Some(Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?))
            }
            (DataType::Float64, Self::Double(value)) => Some(Arc::new(Float64Array::from(vec![canonical(value)]))),
            _ => None,
        }
    }
}

/// Where what leaves 256 bits ends up.
fn limit(is_negative: bool) -> i256 {
    if is_negative { i256::MIN } else { i256::MAX }
}

/// One NaN and one zero: which of them an addition gives depends on the machine, or on the order.
fn canonical(value: f64) -> f64 {
    if value.is_nan() { NAN } else { value + 0.0 }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(value) => write!(f, "{value}"),
            // The shortest text that is read as the same double.
            Self::Double(value) => write!(f, "{value:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kind: &DataType) {
        let number = Number::parse(text, kind).expect("a number");
        assert_eq!(number.to_string(), text);
    }

    #[test]
    fn texts_are_read_back() {
        assert_eq!(i256::MIN.to_string().len(), EXACT_CHARS_MAX);
        for text in ["0", "-1", &i256::MAX.to_string(), &i256::MIN.to_string()] {
            check(text, &DataType::Int64);
        }
        for text in ["0.1", "-0.0", "1e300", "5e-324", "NaN", "inf", "-inf", "0.30000000000000004"] {
            check(text, &DataType::Float64);
        }
        for text in
            ["", "-", "1.5", "x", "1 ", &format!("{}0", i256::MAX), "٣", "1_000", "--1", &"9".repeat(10_000_000)]
        {
            assert_eq!(Number::parse(text, &DataType::Int32), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_the_nearest_that_does() {
        let check = |value: Number, kind: DataType, expect: &str| {
            let array = value.array(&kind).expect("a number of this kind");
            assert_eq!(array.data_type(), &kind);
            assert_eq!(Number::of(&array, 0).map(|number| number.to_string()).as_deref(), Some(expect));
        };
        for (value, sign) in [(i256::MAX, ""), (i256::MIN, "-")] {
            let value = Number::Exact(value);
            check(
                value.plus(value),
                DataType::Int64,
                if sign.is_empty() { "9223372036854775807" } else { "-9223372036854775808" },
            );
            check(value, DataType::Int32, if sign.is_empty() { "2147483647" } else { "-2147483648" });
            check(value, DataType::Decimal128(3, 1), &format!("{sign}999"));
            check(value, DataType::Decimal128(38, 0), &format!("{sign}{}", "9".repeat(38)));
            check(value.minus(value), DataType::Int32, "0");
        }
        let least = Number::Exact(i256::MIN);
        check(Number::Exact(i256::ONE).minus(least), DataType::Int32, "2147483647");
        assert!(least.array(&DataType::Float64).is_none() && Number::Double(1.0).array(&DataType::Int64).is_none());
    }

    #[test]
    fn there_is_one_nan_and_one_zero() {
        let bits = |number: Number| match number {
            Number::Double(value) => value.to_bits(),
            Number::Exact(_) => 0,
        };
        let odd = Number::Double(f64::from_bits(0xfff8_0000_0000_0001));
        let infinite = Number::Double(f64::INFINITY);
        for number in [odd.plus(odd), infinite.minus(infinite), odd.minus(Number::Double(1.0))] {
            assert_eq!(bits(number), NAN.to_bits());
        }
        let minus_zero = Number::Double(-0.0);
        assert_eq!(bits(minus_zero.plus(minus_zero)), 0);
    }
}
