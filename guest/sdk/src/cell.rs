//! How one value of a column is an ordinary Rust value.

use crate::element::{Texts, TextsView};
use crate::{Builder, Column, Date, Element, Validity, Value, ValueType};

/// A type of an argument of a function, or of a field of a row: `i64`, `f64`, `bool`, [`Date`], `&str`, `String`,
/// `&[u8]`, `Vec<u8>`, and `Option` of these.
///
/// ```
/// use domicile_sdk::{Cell, ValueType};
///
/// assert_eq!(<Option<&str>>::KIND, ValueType::Text);
/// assert!(<Option<&str>>::NULLABLE && !f64::NULLABLE);
/// ```
pub trait Cell: Sized {
    /// The type of the column.
    type Element: Element + ?Sized;
    /// This type with the lifetime of the column.
    type At<'a>;
    /// A column for quick reading.
    #[doc(hidden)]
    type View<'a>: Copy;
    /// Whether rows without a value are values of this type.
    const NULLABLE: bool = false;
    /// Its type in SQL.
    const KIND: ValueType = <Self::Element as Element>::KIND;

    /// The column's first `rows` rows.
    #[doc(hidden)]
    fn view(column: &Column<Self::Element>, rows: usize) -> Self::View<'_>;
    /// The value of a row of a view. A row without a value has a placeholder, unless the type is nullable.
    #[doc(hidden)]
    fn get<'a>(view: Self::View<'a>, row: usize) -> Self::At<'a>;
    /// The value of a row.
    #[doc(hidden)]
    fn at(column: &Column<Self::Element>, row: usize) -> Self::At<'_>;
    /// Adds a row with this value.
    #[doc(hidden)]
    fn put(value: Self::At<'_>, builder: &mut Builder<Self::Element>);

    /// The rows that are no value of this type, because they have none.
    #[doc(hidden)]
    fn missing(column: &Column<Self::Element>) -> Option<&Validity> {
        column.validity().filter(|_| !Self::NULLABLE)
    }
}

/// A cell that is one value of the contract.
///
/// ```
/// use domicile_sdk::{Date, Scalar, Value};
///
/// assert_eq!(Some(Date(3)).into_value(), Value::Date(3));
/// assert_eq!(Option::<i64>::from_value(&Value::Null), Some(None));
/// assert_eq!(i64::from_value(&Value::Null), None);
/// ```
pub trait Scalar: Cell {
    /// As a value of the contract.
    fn into_value(self) -> Value;
    /// From a value of the contract; none where it has another type.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! fixed {
    ($type:ty, $kind:ident, $into:expr, $from:expr) => {
        impl Cell for $type {
            type Element = $type;
            type At<'a> = $type;
            type View<'a> = &'a [$type];

            #[inline]
            fn view(column: &Column<$type>, rows: usize) -> &[$type] {
                &column.values()[..rows]
            }

            #[inline]
            fn get<'a>(view: Self::View<'a>, row: usize) -> Self::At<'a> {
                view[row]
            }

            #[inline]
            fn at(column: &Column<$type>, row: usize) -> $type {
                column.values()[row]
            }

            #[inline]
            fn put(value: $type, builder: &mut Builder<$type>) {
                builder.push(Some(value));
            }
        }

        impl Scalar for $type {
            fn into_value(self) -> Value {
                Value::$kind($into(self))
            }

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$kind(value) => Some($from(*value)),
                    _ => None,
                }
            }
        }
    };
}

fixed!(i64, Bigint, |value| value, |value| value);
fixed!(f64, Double, |value| value, |value| value);
fixed!(bool, Boolean, |value| value, |value| value);
fixed!(Date, Date, |date: Date| date.0, Date);

macro_rules! text {
    ([$($lifetime:lifetime)?] $type:ty, $at:lifetime => $at_type:ty, $own:expr) => {
        impl<$($lifetime)?> Cell for $type {
            type Element = str;
            type At<$at> = $at_type;
            type View<'a> = TextsView<'a>;

            #[inline]
            fn view(column: &Column<str>, rows: usize) -> TextsView<'_> {
                Texts::view(&column.values, rows)
            }

            #[inline]
            fn get<'a>(view: Self::View<'a>, row: usize) -> Self::At<'a> {
                $own(view.get(row))
            }

            #[inline]
            fn at(column: &Column<str>, row: usize) -> Self::At<'_> {
                $own(<str as Element>::at(&column.values, row))
            }

            #[inline]
            fn put(value: Self::At<'_>, builder: &mut Builder<str>) {
                builder.push(Some(value.as_ref()));
            }
        }
    };
}

text!(['x] &'x str, 'a => &'a str, std::convert::identity);
text!([] String, 'a => String, str::to_owned);

macro_rules! bytes {
    ([$($lifetime:lifetime)?] $type:ty, $at:lifetime => $at_type:ty, $own:expr) => {
        impl<$($lifetime)?> Cell for $type {
            type Element = [u8];
            type At<$at> = $at_type;
            type View<'a> = &'a Column<[u8]>;

            fn view(column: &Column<[u8]>, _rows: usize) -> &Column<[u8]> {
                column
            }

            fn get<'a>(view: Self::View<'a>, row: usize) -> Self::At<'a> {
                Self::at(view, row)
            }

            fn at(column: &Column<[u8]>, row: usize) -> Self::At<'_> {
                $own(<[u8] as Element>::at(&column.values, row))
            }

            fn put(value: Self::At<'_>, builder: &mut Builder<[u8]>) {
                builder.push(Some(value.as_ref()));
            }
        }
    };
}

bytes!(['x] &'x [u8], 'a => &'a [u8], std::convert::identity);
bytes!([] Vec<u8>, 'a => Vec<u8>, <[u8]>::to_vec);

impl Scalar for String {
    fn into_value(self) -> Value {
        Value::Text(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl Scalar for Vec<u8> {
    fn into_value(self) -> Value {
        Value::Bytes(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl<C: Cell> Cell for Option<C> {
    type Element = C::Element;
    type At<'a> = Option<C::At<'a>>;
    type View<'a> = (C::View<'a>, Option<&'a Validity>);
    const NULLABLE: bool = true;

    fn view(column: &Column<C::Element>, rows: usize) -> Self::View<'_> {
        (C::view(column, rows), column.validity())
    }

    #[inline]
    fn get<'a>((view, validity): Self::View<'a>, row: usize) -> Option<C::At<'a>> {
        validity.is_none_or(|validity| validity.get(row)).then(|| C::get(view, row))
    }

    #[inline]
    fn at(column: &Column<C::Element>, row: usize) -> Option<C::At<'_>> {
        column.validity().is_none_or(|validity| validity.get(row)).then(|| C::at(column, row))
    }

    #[inline]
    fn put(value: Option<C::At<'_>>, builder: &mut Builder<C::Element>) {
        match value {
            Some(value) => C::put(value, builder),
            None => builder.push(None),
        }
    }
}

impl<S: Scalar> Scalar for Option<S> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, S::into_value)
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => S::from_value(value).map(Some),
        }
    }
}
