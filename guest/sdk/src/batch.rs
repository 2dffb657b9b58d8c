//! Functions that take and give whole columns.

use std::fmt::Display;

use crate::{Column, Element, HostColumn, ValueType, host};

/// A column as an argument, behind a reference: [`Column`], [`HostColumn`], or with the feature `arrow` an Arrow array.
///
/// ```
/// #[domicile_sdk::functions]
/// pub mod functions {
///     use domicile_sdk::Column;
///     use domicile_sdk::arrow_array::{Array, BooleanArray, StringArray};
///
///     pub fn doubled(value: &Column<i64>) -> Column<i64> {
///         value.map(|value| value.wrapping_mul(2))
///     }
///
///     pub fn named(name: &StringArray) -> BooleanArray {
///         name.iter().map(|name| Some(name.is_some())).collect()
///     }
/// }
/// # fn main() {}
/// ```
pub trait ColumnArgument: Sized {
    /// Its type in SQL.
    const KIND: ValueType;
    /// A column of the running call.
    ///
    /// # Errors
    /// Where it has another type.
    fn from_number(number: u32) -> Result<Self, String>;
}

/// A column as an answer: [`Column`], [`HostColumn`], with the feature `arrow` an Arrow array, or a `Result` of these.
///
/// ```
/// #[domicile_sdk::functions]
/// pub mod functions {
///     use domicile_sdk::Column;
///
///     pub fn share(part: &Column<f64>, all: &Column<f64>) -> Result<Column<f64>, String> {
///         if all.values().contains(&0.0) {
///             return Err("nothing has no parts".to_owned());
///         }
///         Ok(part.zip(all, |part, all| part / all))
///     }
/// }
/// # fn main() {}
/// ```
pub trait ColumnAnswer {
    /// Its type in SQL.
    const KIND: ValueType;
    /// The column's number in the running call, and its rows.
    ///
    /// # Errors
    /// The function's own.
    fn into_number(self) -> Result<(u32, usize), String>;
}

impl<T: Element + ?Sized> ColumnArgument for Column<T> {
    const KIND: ValueType = T::KIND;

    fn from_number(number: u32) -> Result<Self, String> {
        Self::read(number)
    }
}

impl<T: Element + ?Sized> ColumnAnswer for Column<T> {
    const KIND: ValueType = T::KIND;

    fn into_number(self) -> Result<(u32, usize), String> {
        let rows = self.len();
        Ok((self.write(), rows))
    }
}

impl<T: Element + ?Sized> ColumnArgument for HostColumn<T> {
    const KIND: ValueType = T::KIND;

    fn from_number(number: u32) -> Result<Self, String> {
        Ok(Self::of(number))
    }
}

impl<T: Element + ?Sized> ColumnAnswer for HostColumn<T> {
    const KIND: ValueType = T::KIND;

    fn into_number(self) -> Result<(u32, usize), String> {
        Ok((self.number(), host::rows(self.number()) as usize))
    }
}

impl<A: ColumnAnswer, E: Display> ColumnAnswer for Result<A, E> {
    const KIND: ValueType = A::KIND;

    fn into_number(self) -> Result<(u32, usize), String> {
        self.map_err(|error| error.to_string())?.into_number()
    }
}
