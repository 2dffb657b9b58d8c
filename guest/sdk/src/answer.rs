//! What functions may return.

use std::fmt::Display;

use crate::column::Builder;
use crate::{Column, Date, Element, Validity, ValueType};

/// What a function answers for a row: `i64`, `f64`, `bool`, [`Date`], `&str` or `String`; an `Option`, of which none
/// is null; a `Result`, whose error ends the query.
///
/// ```
/// use domicile_sdk::{Answer, ValueType};
///
/// assert_eq!(<Result<Option<i64>, String>>::KIND, ValueType::Bigint);
/// ```
pub trait Answer: Sized {
    /// The type of the column of answers.
    type Element: Element + ?Sized;
    /// Its type in SQL.
    const KIND: ValueType = <Self::Element as Element>::KIND;

    /// Adds the answer to a column.
    #[doc(hidden)]
    fn put(self, builder: &mut Builder<Self::Element>) -> Result<(), String>;

    /// The answers for all rows.
    #[doc(hidden)]
    #[inline]
    fn all(rows: usize, mut each: impl FnMut(usize) -> Self) -> Result<Column<Self::Element>, String> {
        let mut builder = Builder::with_capacity(rows);
        (0..rows).try_for_each(|row| each(row).put(&mut builder))?;
        Ok(builder.finish())
    }

    /// The answers for the rows that have a value, and null for the others.
    #[doc(hidden)]
    #[inline]
    fn some(valid: &Validity, mut each: impl FnMut(usize) -> Self) -> Result<Column<Self::Element>, String> {
        let mut builder = Builder::with_capacity(valid.rows());
        for row in 0..valid.rows() {
            match valid.get(row) {
                true => each(row).put(&mut builder)?,
                false => builder.push(None),
            }
        }
        Ok(builder.finish())
    }
}

/// The answers for the rows that have a value, and null for the others.
#[inline]
pub(crate) fn answers<A: Answer>(
    rows: usize,
    valid: Option<&Validity>,
    each: impl FnMut(usize) -> A,
) -> Result<Column<A::Element>, String> {
    match valid {
        Some(valid) => A::some(valid, each),
        None => A::all(rows, each),
    }
}

macro_rules! fixed {
    ($($type:ty: $placeholder:expr),*) => {
        $(impl Answer for $type {
            type Element = $type;

            #[inline]
            fn put(self, builder: &mut Builder<$type>) -> Result<(), String> {
                builder.push(Some(self));
                Ok(())
            }

            #[inline]
            fn all(rows: usize, each: impl FnMut(usize) -> Self) -> Result<Column<$type>, String> {
                Ok(Column::from((0..rows).map(each).collect::<Vec<_>>()))
            }

            #[inline]
            fn some(valid: &Validity, mut each: impl FnMut(usize) -> Self) -> Result<Column<$type>, String> {
                let answer = |row| if valid.get(row) { each(row) } else { $placeholder };
                let values = (0..valid.rows()).map(answer).collect();
                Ok(Column { values, validity: Some(valid.clone()) })
            }
        })*
    };
}

fixed!(i64: 0, f64: 0.0, bool: false, Date: Date(0));

macro_rules! runs {
    ($($type:ty => $element:ty),*) => {
        $(impl Answer for $type {
            type Element = $element;

            #[inline]
            fn put(self, builder: &mut Builder<$element>) -> Result<(), String> {
                builder.push(Some(self.as_ref()));
                Ok(())
            }
        })*
    };
}

runs!(&str => str, String => str);

impl<A: Answer> Answer for Option<A> {
    type Element = A::Element;

    #[inline]
    fn put(self, builder: &mut Builder<A::Element>) -> Result<(), String> {
        match self {
            Some(answer) => answer.put(builder),
            None => {
                builder.push(None);
                Ok(())
            }
        }
    }
}

impl<A: Answer, E: Display> Answer for Result<A, E> {
    type Element = A::Element;

    #[inline]
    fn put(self, builder: &mut Builder<A::Element>) -> Result<(), String> {
        self.map_err(|error| error.to_string())?.put(builder)
    }
}

/// What a method that takes in rows returns: nothing, or a `Result` whose error ends the query.
///
/// ```
/// use domicile_sdk::Outcome;
///
/// assert_eq!(().outcome(), Ok(()));
/// assert_eq!(Err::<(), _>("too many").outcome(), Err("too many".to_owned()));
/// ```
pub trait Outcome {
    /// As a result.
    ///
    /// # Errors
    /// The function's own.
    fn outcome(self) -> Result<(), String>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn outcome(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}
