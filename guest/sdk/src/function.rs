//! How ordinary Rust functions become functions of SQL.

use crate::column::{Dates, Texts, Typed};
use crate::{Column, Date, ValueType, Values};

/// A type that an argument of a function may have.
pub trait Argument<'a>: Sized {
    /// Its type in SQL.
    const KIND: ValueType;
    /// A whole column of it.
    type Source;
    /// The column as that type.
    ///
    /// # Errors
    /// Where the column has another type.
    fn source(column: &'a Column) -> Result<Self::Source, String>;
    /// The value of a row. None where the function is not to be called for this row, because the row has no value and
    /// the type does not admit that.
    fn read(source: &Self::Source, row: usize) -> Option<Self>;
}

macro_rules! argument {
    ($type:ty, $kind:ident, $source:ty, $method:ident) => {
        impl<'a> Argument<'a> for $type {
            const KIND: ValueType = ValueType::$kind;
            type Source = $source;

            fn source(column: &'a Column) -> Result<Self::Source, String> {
                column.$method()
            }

            fn read(source: &Self::Source, row: usize) -> Option<Self> {
                source.get(row)
            }
        }
    };
}

argument!(i64, Bigint, Typed<'a, i64>, bigints);
argument!(f64, Double, Typed<'a, f64>, doubles);
argument!(bool, Boolean, Typed<'a, bool>, booleans);
argument!(Date, Date, Dates<'a>, dates);
argument!(&'a str, Text, Texts<'a>, texts);

impl<'a, T: Argument<'a>> Argument<'a> for Option<T> {
    const KIND: ValueType = T::KIND;
    type Source = T::Source;

    fn source(column: &'a Column) -> Result<Self::Source, String> {
        T::source(column)
    }

    fn read(source: &Self::Source, row: usize) -> Option<Self> {
        Some(T::read(source, row))
    }
}

/// A type that a function may return.
pub trait Return {
    /// Its type in SQL.
    const KIND: ValueType;
    /// The values made so far.
    type Sink: Default;
    /// Adds the answer of a row, none for a row without a value.
    ///
    /// # Errors
    /// The function's own.
    fn write(answer: Option<Self>, sink: &mut Self::Sink) -> Result<(), String>
    where
        Self: Sized;
    /// The values as a column's, without validity.
    fn finish(sink: Self::Sink) -> Values;
}

macro_rules! fixed_return {
    ($type:ty, $kind:ident, $native:ty, $convert:expr) => {
        impl Return for $type {
            const KIND: ValueType = ValueType::$kind;
            type Sink = Vec<$native>;

            fn write(answer: Option<Self>, sink: &mut Self::Sink) -> Result<(), String> {
                sink.push(answer.map($convert).unwrap_or_default());
                Ok(())
            }

            fn finish(sink: Self::Sink) -> Values {
                Values::$kind(sink)
            }
        }
    };
}

fixed_return!(i64, Bigint, i64, |value| value);
fixed_return!(f64, Double, f64, |value| value);
fixed_return!(bool, Boolean, bool, |value| value);
fixed_return!(Date, Date, i32, |date| date.0);

/// Texts made so far.
#[derive(Default)]
pub struct TextSink {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

macro_rules! text_return {
    ($type:ty) => {
        impl Return for $type {
            const KIND: ValueType = ValueType::Text;
            type Sink = TextSink;

            fn write(answer: Option<Self>, sink: &mut Self::Sink) -> Result<(), String> {
                sink.bytes.extend_from_slice(answer.as_ref().map_or(&[], |text| text.as_bytes()));
                sink.ends.push(i32::try_from(sink.bytes.len()).map_err(|_| "the texts of one batch exceed 2 GiB")?);
                Ok(())
            }

            fn finish(sink: Self::Sink) -> Values {
                let offsets = std::iter::once(0).chain(sink.ends).collect();
                Values::Text(crate::bindings::functions::domicile::plugin::types::Texts { offsets, bytes: sink.bytes })
            }
        }
    };
}

text_return!(String);
text_return!(&'static str);

/// What a function answers for a row: `T`, or `Option<T>` with none for null, or a `Result` whose error ends the query.
pub trait Answer {
    /// The type of the value.
    type Value: Return;
    /// The value of the row.
    ///
    /// # Errors
    /// The function's own.
    fn answer(self) -> Result<Option<Self::Value>, String>;
}

macro_rules! plain_answer {
    ($($type:ty),*) => {
        $(impl Answer for $type {
            type Value = $type;

            fn answer(self) -> Result<Option<Self::Value>, String> {
                Ok(Some(self))
            }
        })*
    };
}

plain_answer!(i64, f64, bool, Date, String, &'static str);

impl<T: Return> Answer for Option<T> {
    type Value = T;

    fn answer(self) -> Result<Option<T>, String> {
        Ok(self)
    }
}

impl<A: Answer> Answer for Result<A, String> {
    type Value = A::Value;

    fn answer(self) -> Result<Option<Self::Value>, String> {
        self?.answer()
    }
}

/// Builds the column of a function's answers.
#[doc(hidden)]
pub fn collect<A: Answer>(rows: usize, mut each: impl FnMut(usize) -> Option<A>) -> Result<Column, String> {
    let mut sink = <A::Value as Return>::Sink::default();
    let mut validity = vec![0_u8; rows.div_ceil(8)];
    let mut nulls = false;
    for row in 0..rows {
        let answer = each(row).map_or(Ok(None), Answer::answer)?;
        match answer {
            Some(_) => validity[row / 8] |= 1 << (row % 8),
            None => nulls = true,
        }
        A::Value::write(answer, &mut sink)?;
    }
    Ok(Column { values: A::Value::finish(sink), validity: nulls.then_some(validity) })
}

/// Exports ordinary functions as a plugin of the world `functions`. Each is listed with its signature; the compiler
/// checks that it has that signature. See the crate's documentation for the types.
#[macro_export]
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $answer:ty;)+) => {
        struct DomicilePlugin;

        impl $crate::bindings::functions::Guest for DomicilePlugin {
            fn describe() -> $crate::bindings::functions::FunctionsDescriptor {
                $crate::start();
                $crate::bindings::functions::FunctionsDescriptor {
                    functions: vec![$($crate::FunctionSignature {
                        name: stringify!($name).to_owned(),
                        arguments: vec![$($crate::Field {
                            name: stringify!($argument).to_owned(),
                            kind: <$type as $crate::function::Argument>::KIND,
                        }),*],
                        returns: <<$answer as $crate::function::Answer>::Value as $crate::function::Return>::KIND,
                    }),+],
                }
            }

            fn call(function: u32, rows: u32, arguments: Vec<$crate::Column>) -> Result<$crate::Column, String> {
                $crate::start();
                let table: &[fn(usize, &[$crate::Column]) -> Result<$crate::Column, String>] = &[$(
                    |rows, columns| {
                        let mut columns = columns.iter();
                        $(
                            let $argument = columns.next().ok_or(concat!("`", stringify!($argument), "` is missing"))?;
                            let $argument = <$type as $crate::function::Argument>::source($argument)?;
                        )*
                        $crate::function::collect::<$answer>(rows, |row| {
                            Some($name($(<$type as $crate::function::Argument>::read(&$argument, row)?),*))
                        })
                    }
                ),+];
                let function = table.get(function as usize).ok_or("there is no function of that index")?;
                function(rows as usize, &arguments)
            }
        }

        $crate::bindings::functions::export_functions!(DomicilePlugin);
    };
}
