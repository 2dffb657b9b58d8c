//! What a column looks like where rows cross masked.

use std::fmt;

use domicile_types::ColumnType;
use serde::{Serialize, Serializer};

/// How a column's values are replaced where rows cross. The column's type stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mask {
    /// As they are.
    Plain,
    /// Every value is missing.
    Null,
    /// HMAC under a key of the region that the row lives in: equal values stay equal. A text becomes hexadecimal
    /// digits, a number a number of its type that is not negative.
    Hmac,
    /// The first characters of a text: at most this many.
    Prefix(u64),
    /// A number, rounded down to a multiple of this.
    MultipleOf(u64),
    /// The first day of a date's year.
    Year,
    /// The first day of a date's quarter.
    Quarter,
    /// The first day of a date's month.
    Month,
}

impl Mask {
    /// Whether a column of this type has values that the mask can replace.
    pub(crate) fn fits(self, kind: ColumnType) -> bool {
        use ColumnType::{BigInt, Date, Decimal, Double, Integer, Text};
        match self {
            Self::Plain | Self::Null => true,
            Self::Hmac => matches!(kind, Text | BigInt | Integer),
            Self::Prefix(_) => kind == Text,
            Self::MultipleOf(_) => matches!(kind, BigInt | Integer | Double | Decimal { .. }),
            Self::Year | Self::Quarter | Self::Month => kind == Date,
        }
    }

    /// The types that the mask is for, in words.
    pub(crate) fn types(self) -> &'static str {
        match self {
            Self::Plain | Self::Null => "any type",
            Self::Hmac => "text, bigint or integer",
            Self::Prefix(_) => "text",
            Self::MultipleOf(_) => "bigint, integer, double or decimal",
            Self::Year | Self::Quarter | Self::Month => "date",
        }
    }

    /// What shows no more than either of the two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Plain, mask) | (mask, Self::Plain) => mask,
            _ => Self::Null,
        }
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Null => f.write_str("null"),
            Self::Hmac => f.write_str("hmac"),
            Self::Prefix(characters) => write!(f, "prefix {characters}"),
            Self::MultipleOf(step) => write!(f, "multiple_of {step}"),
            Self::Year => f.write_str("year"),
            Self::Quarter => f.write_str("quarter"),
            Self::Month => f.write_str("month"),
        }
    }
}

/// As its text: `plain`, `prefix 2`.
impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
