//! The types that a column's rows may have.

use crate::{Date, Runs, ValueType, Values};

/// A type of values: `i64`, `f64`, `bool`, [`Date`], `str` or `[u8]`. Sealed: the contract knows no others.
///
/// ```
/// use domicile_sdk::{Element, ValueType};
///
/// assert_eq!(<str as Element>::KIND, ValueType::Text);
/// ```
pub trait Element: sealed::Sealed {
    /// Its type in SQL.
    const KIND: ValueType;
    /// The values of several rows.
    type Values: Default + Clone + std::fmt::Debug + PartialEq;
    /// The value of one row.
    type Item<'a>: Copy;

    /// Values as the host gave them; none where they have another type.
    #[doc(hidden)]
    fn take(values: Values) -> Option<Self::Values>;
    /// Values as the host takes them.
    #[doc(hidden)]
    fn give(values: Self::Values) -> Values;
    /// How many rows there are.
    #[doc(hidden)]
    fn rows(values: &Self::Values) -> usize;
    /// The value of a row.
    #[doc(hidden)]
    fn at(values: &Self::Values, row: usize) -> Self::Item<'_>;
    /// Makes room for more rows.
    #[doc(hidden)]
    fn reserve(values: &mut Self::Values, rows: usize);
    /// Adds a row; none for a placeholder.
    #[doc(hidden)]
    fn push(values: &mut Self::Values, item: Option<Self::Item<'_>>);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i64 {}
    impl Sealed for f64 {}
    impl Sealed for bool {}
    impl Sealed for crate::Date {}
    impl Sealed for str {}
    impl Sealed for [u8] {}
}

macro_rules! fixed {
    ($type:ty, $kind:ident, $empty:expr, $take:expr, $give:expr) => {
        impl Element for $type {
            const KIND: ValueType = ValueType::$kind;
            type Values = Vec<$type>;
            type Item<'a> = $type;

            fn take(values: Values) -> Option<Self::Values> {
                match values {
                    Values::$kind(values) => Some($take(values)),
                    _ => None,
                }
            }

            fn give(values: Self::Values) -> Values {
                Values::$kind($give(values))
            }

            fn rows(values: &Self::Values) -> usize {
                values.len()
            }

            #[inline]
            fn at(values: &Self::Values, row: usize) -> $type {
                values[row]
            }

            fn reserve(values: &mut Self::Values, rows: usize) {
                values.reserve(rows);
            }

            #[inline]
            fn push(values: &mut Self::Values, item: Option<$type>) {
                values.push(item.unwrap_or($empty));
            }
        }
    };
}

fixed!(i64, Bigint, 0, |values| values, |values| values);
fixed!(f64, Double, 0.0, |values| values, |values| values);
fixed!(bool, Boolean, false, |values| values, |values| values);
// Collecting a vector into one of the same layout reuses its memory.
fixed!(Date, Date, Date(0), |days: Vec<i32>| days.into_iter().map(Date).collect(), |dates: Vec<Date>| dates
    .into_iter()
    .map(|date| date.0)
    .collect());

/// Texts of several rows, end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    offsets: Vec<i32>,
    text: String,
}

impl Default for Texts {
    fn default() -> Self {
        Self { offsets: vec![0], text: String::new() }
    }
}

impl Texts {
    /// Borrowed, for quick reading of many rows.
    pub(crate) fn view(&self, rows: usize) -> TextsView<'_> {
        TextsView { starts: &self.offsets[..rows], ends: &self.offsets[1..=rows], text: &self.text }
    }
}

/// Borrowed texts of several rows.
#[derive(Debug, Clone, Copy)]
pub struct TextsView<'a> {
    starts: &'a [i32],
    ends: &'a [i32],
    text: &'a str,
}

impl<'a> TextsView<'a> {
    /// The text of a row.
    #[inline]
    pub(crate) fn get(self, row: usize) -> &'a str {
        &self.text[self.starts[row] as usize..self.ends[row] as usize]
    }
}

impl Element for str {
    const KIND: ValueType = ValueType::Text;
    type Values = Texts;
    type Item<'a> = &'a str;

    fn take(values: Values) -> Option<Texts> {
        let Values::Text(Runs { offsets, mut bytes }) = values else { return None };
        // Only what rows cover is promised to be UTF-8. It is checked once for all rows, and rows begin at characters.
        let covered = |offset: Option<&i32>| offset.map_or(0, |offset| *offset as usize);
        bytes.truncate(covered(offsets.last()));
        bytes[..covered(offsets.first())].fill(0);
        let text = String::from_utf8(bytes).expect("the host sends UTF-8");
        Some(Texts { offsets, text })
    }

    fn give(values: Texts) -> Values {
        Values::Text(Runs { offsets: values.offsets, bytes: values.text.into_bytes() })
    }

    fn rows(values: &Texts) -> usize {
        values.offsets.len().saturating_sub(1)
    }

    #[inline]
    fn at(values: &Texts, row: usize) -> &str {
        &values.text[values.offsets[row] as usize..values.offsets[row + 1] as usize]
    }

    fn reserve(values: &mut Texts, rows: usize) {
        values.offsets.reserve(rows);
    }

    #[inline]
    fn push(values: &mut Texts, item: Option<&str>) {
        values.text.push_str(item.unwrap_or(""));
        values.offsets.push(end(values.text.len()));
    }
}

/// Runs of bytes of several rows, end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blobs {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl Default for Blobs {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new() }
    }
}

impl Element for [u8] {
    const KIND: ValueType = ValueType::Bytes;
    type Values = Blobs;
    type Item<'a> = &'a [u8];

    fn take(values: Values) -> Option<Blobs> {
        let Values::Bytes(Runs { offsets, bytes }) = values else { return None };
        Some(Blobs { offsets, bytes })
    }

    fn give(values: Blobs) -> Values {
        Values::Bytes(Runs { offsets: values.offsets, bytes: values.bytes })
    }

    fn rows(values: &Blobs) -> usize {
        values.offsets.len().saturating_sub(1)
    }

    #[inline]
    fn at(values: &Blobs, row: usize) -> &[u8] {
        &values.bytes[values.offsets[row] as usize..values.offsets[row + 1] as usize]
    }

    fn reserve(values: &mut Blobs, rows: usize) {
        values.offsets.reserve(rows);
    }

    #[inline]
    fn push(values: &mut Blobs, item: Option<&[u8]>) {
        values.bytes.extend_from_slice(item.unwrap_or(&[]));
        values.offsets.push(end(values.bytes.len()));
    }
}

fn end(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("the texts of one column stay below 2 GiB")
}

/// A type's name in SQL.
pub(crate) fn sql_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Bigint => "bigint",
        ValueType::Double => "double",
        ValueType::Text => "text",
        ValueType::Date => "date",
        ValueType::Boolean => "boolean",
        ValueType::Bytes => "bytes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_no_row_covers_need_not_be_text() {
        let runs = Runs { offsets: vec![1, 3, 3, 4], bytes: vec![0xff, 0xc3, 0xa4, b'x', 0xc3] };
        let texts = <str as Element>::take(Values::Text(runs)).expect("they are texts");
        let rows: Vec<&str> = (0..3).map(|row| <str as Element>::at(&texts, row)).collect();
        assert_eq!(rows, ["ä", "", "x"]);
    }
}
