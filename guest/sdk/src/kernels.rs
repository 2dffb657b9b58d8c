//! Columns that stay in the host, and the work that it does on them.

use std::marker::PhantomData;

use crate::bindings::functions::domicile::plugin::kernels as raw;
use crate::{Column, Date, Element, Scalar, Value, host};

pub use raw::{Comparison, Reduction};

/// A column of the running call that stays in the host: it is a number, and cheap to pass on. What is never
/// [read](Self::read) is never copied. It is valid until the call returns; a later use ends the later call.
///
/// ```no_run
/// use domicile_sdk::{Comparison, HostColumn};
///
/// /// The prices that count, in the currency of `rate`; the host computes.
/// pub fn converted(price: &HostColumn<f64>, rate: &HostColumn<f64>) -> HostColumn<f64> {
///     price.multiply(rate)
/// }
///
/// fn above(price: &HostColumn<f64>, least: f64) -> f64 {
///     price.filter(&price.compare(Comparison::GreaterOrEqual, least)).sum().unwrap_or(0.0)
/// }
/// ```
///
/// Outside of a region there is no host, and everything here but [`Self::read`] and [`Self::rows`] panics.
pub struct HostColumn<T: Element + ?Sized> {
    number: u32,
    element: PhantomData<fn() -> Box<T>>,
}

impl<T: Element + ?Sized> Clone for HostColumn<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Element + ?Sized> Copy for HostColumn<T> {}

/// Asks the host, where there is one.
fn ask<T>(kernel: impl FnOnce() -> T) -> T {
    if cfg!(target_family = "wasm") { kernel() } else { panic!("host kernels run inside a region only") }
}

/// One side of a comparison or of arithmetic: a column, or the same value for every row.
///
/// ```no_run
/// use domicile_sdk::HostColumn;
///
/// fn with_tax(price: &HostColumn<f64>, tax: &HostColumn<f64>) -> HostColumn<f64> {
///     price.multiply(&tax.add(1.0))
/// }
/// ```
pub struct Operand<T: ?Sized> {
    raw: raw::Operand,
    element: PhantomData<fn() -> Box<T>>,
}

impl<T: Element + ?Sized> From<&HostColumn<T>> for Operand<T> {
    fn from(column: &HostColumn<T>) -> Self {
        Self { raw: raw::Operand::Column(column.number), element: PhantomData }
    }
}

macro_rules! operand {
    ($($type:ty as $element:ty: $own:expr),*) => {
        $(impl From<$type> for Operand<$element> {
            fn from(value: $type) -> Self {
                Self { raw: raw::Operand::Value($own(value).into_value()), element: PhantomData }
            }
        })*
    };
}

operand!(
    i64 as i64: i64::from, f64 as f64: f64::from, bool as bool: bool::from, Date as Date: Date::from,
    &str as str: str::to_owned
);

impl<T: Element + ?Sized> HostColumn<T> {
    pub(crate) fn of(number: u32) -> Self {
        Self { number, element: PhantomData }
    }

    /// The column's number in the running call.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Copies the column into the plugin.
    ///
    /// # Panics
    /// Where the column has another type.
    pub fn read(&self) -> Column<T> {
        match Column::read(self.number) {
            Ok(column) => column,
            Err(error) => panic!("{error}"),
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        host::rows(self.number)
    }

    /// Whether each row has a value.
    pub fn present(&self) -> HostColumn<bool> {
        HostColumn::of(ask(|| raw::present(self.number)))
    }

    /// A boolean for each row. NaN equals NaN and is above every other number.
    pub fn compare(&self, comparison: Comparison, right: impl Into<Operand<T>>) -> HostColumn<bool> {
        let (left, right) = (raw::Operand::Column(self.number), right.into().raw);
        HostColumn::of(ask(|| raw::compare(&left, comparison, &right)))
    }

    /// The rows where `mask` is true.
    #[must_use]
    pub fn filter(&self, mask: &HostColumn<bool>) -> Self {
        Self::of(single(ask(|| raw::filter(&[self.number], mask.number))))
    }

    /// The rows that `rows` names, in that order. A row number without a value makes a row without one.
    #[must_use]
    pub fn take(&self, rows: &HostColumn<i64>) -> Self {
        Self::of(single(ask(|| raw::take(&[self.number], rows.number))))
    }

    /// Columns one after another.
    #[must_use]
    pub fn concatenate(columns: &[Self]) -> Self {
        let numbers: Vec<u32> = columns.iter().map(|column| column.number).collect();
        Self::of(ask(|| raw::concatenate(&numbers)))
    }

    /// The column in another type, as SQL's TRY_CAST does: what has no such form has no value.
    pub fn convert<U: Element + ?Sized>(&self) -> HostColumn<U> {
        HostColumn::of(ask(|| raw::convert(self.number, U::KIND)))
    }

    /// How many rows have a value.
    pub fn count(&self) -> i64 {
        <i64 as Scalar>::from_value(&self.reduce(Reduction::Count)).unwrap_or(0)
    }

    fn reduce(&self, reduction: Reduction) -> Value {
        ask(|| raw::reduce(self.number, reduction))
    }

    /// One row for each group. A group without values has 0 where it is counted and otherwise no value.
    fn reduce_groups<U: Element + ?Sized>(&self, reduction: Reduction, grouping: &Grouping) -> HostColumn<U> {
        let (groups, of_row) = (grouping.groups, grouping.group_of_row.number);
        HostColumn::of(ask(|| raw::reduce_groups(self.number, reduction, of_row, groups)))
    }

    /// How many rows of each group have a value.
    pub fn count_by(&self, grouping: &Grouping) -> HostColumn<i64> {
        self.reduce_groups(Reduction::Count, grouping)
    }

    /// The least value of each group.
    #[must_use]
    pub fn min_by(&self, grouping: &Grouping) -> Self {
        self.reduce_groups(Reduction::Min, grouping)
    }

    /// The greatest value of each group.
    #[must_use]
    pub fn max_by(&self, grouping: &Grouping) -> Self {
        self.reduce_groups(Reduction::Max, grouping)
    }
}

fn single(columns: Vec<u32>) -> u32 {
    columns.first().copied().expect("the host answers one column for one")
}

impl<T: Scalar + Element> HostColumn<T> {
    /// The least value; none where there is no value.
    pub fn min(&self) -> Option<T> {
        T::from_value(&self.reduce(Reduction::Min))
    }

    /// The greatest value; none where there is no value.
    pub fn max(&self) -> Option<T> {
        T::from_value(&self.reduce(Reduction::Max))
    }
}

impl HostColumn<bool> {
    /// Both, in three-valued logic.
    #[must_use]
    pub fn and(&self, right: &Self) -> Self {
        Self::of(ask(|| raw::combine(self.number, raw::Logic::And, right.number)))
    }

    /// Either, in three-valued logic.
    #[must_use]
    pub fn or(&self, right: &Self) -> Self {
        Self::of(ask(|| raw::combine(self.number, raw::Logic::Or, right.number)))
    }

    /// The opposite.
    #[must_use]
    pub fn negate(&self) -> Self {
        Self::of(ask(|| raw::negate(self.number)))
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl HostColumn<$type> {
            /// The sum of all rows; none where no row has a value.
            pub fn sum(&self) -> Option<$type> {
                <$type as Scalar>::from_value(&self.reduce(Reduction::Sum))
            }

            /// The sum of each group.
            #[must_use]
            pub fn sum_by(&self, grouping: &Grouping) -> Self {
                self.reduce_groups(Reduction::Sum, grouping)
            }

            /// The sum of both, row by row.
            #[must_use]
            pub fn add(&self, right: impl Into<Operand<$type>>) -> Self {
                calculate(self.number, raw::Arithmetic::Add, right.into())
            }

            /// This less the other, row by row.
            #[must_use]
            pub fn subtract(&self, right: impl Into<Operand<$type>>) -> Self {
                calculate(self.number, raw::Arithmetic::Subtract, right.into())
            }

            /// The product of both, row by row.
            #[must_use]
            pub fn multiply(&self, right: impl Into<Operand<$type>>) -> Self {
                calculate(self.number, raw::Arithmetic::Multiply, right.into())
            }

            /// The quotient of both, row by row; of bigints towards zero, and none by zero.
            #[must_use]
            pub fn divide(&self, right: impl Into<Operand<$type>>) -> Self {
                calculate(self.number, raw::Arithmetic::Divide, right.into())
            }
        })*
    };
}

numbers!(i64, f64);

impl HostColumn<Date> {
    /// The days from another date to this one, row by row.
    pub fn days_since(&self, earlier: impl Into<Operand<Date>>) -> HostColumn<i64> {
        calculate(self.number, raw::Arithmetic::Subtract, earlier.into())
    }

    /// The date so many days later, row by row.
    #[must_use]
    pub fn plus_days(&self, days: impl Into<Operand<i64>>) -> Self {
        calculate(self.number, raw::Arithmetic::Add, days.into())
    }
}

fn calculate<T, U>(left: u32, arithmetic: raw::Arithmetic, right: Operand<T>) -> HostColumn<U>
where
    U: Element + ?Sized,
{
    HostColumn::of(ask(|| raw::calculate(&raw::Operand::Column(left), arithmetic, &right.raw)))
}

/// A column of any type, as a key of an order, a grouping or a join; see [`sort`], [`group`] and [`join`].
#[derive(Debug, Clone, Copy)]
pub struct Key {
    number: u32,
    descending: bool,
    nulls_first: bool,
}

impl Key {
    /// The largest values first.
    #[must_use]
    pub fn descending(self) -> Self {
        Self { descending: true, ..self }
    }

    /// Rows without a value first.
    #[must_use]
    pub fn nulls_first(self) -> Self {
        Self { nulls_first: true, ..self }
    }
}

impl<T: Element + ?Sized> From<&HostColumn<T>> for Key {
    fn from(column: &HostColumn<T>) -> Self {
        Self { number: column.number, descending: false, nulls_first: false }
    }
}

fn numbers(keys: &[Key]) -> Vec<u32> {
    keys.iter().map(|key| key.number).collect()
}

/// The row numbers in the order of the keys, equal rows in their old order.
///
/// ```no_run
/// # use domicile_sdk::{Date, HostColumn, Key, kernels};
/// fn newest_first(date: &HostColumn<Date>, price: &HostColumn<f64>) -> HostColumn<f64> {
///     price.take(&kernels::sort(&[Key::from(date).descending()]))
/// }
/// ```
pub fn sort(keys: &[Key]) -> HostColumn<i64> {
    let raw_key =
        |key: &Key| raw::SortKey { column: key.number, descending: key.descending, nulls_first: key.nulls_first };
    let keys: Vec<_> = keys.iter().map(raw_key).collect();
    HostColumn::of(ask(|| raw::sort(&keys)))
}

/// A number for each row that is equal for rows equal in all columns, in every region and version of the host.
///
/// ```no_run
/// # use domicile_sdk::{HostColumn, kernels};
/// fn shard(name: &HostColumn<str>, customer: &HostColumn<i64>) -> Vec<i64> {
///     kernels::hash(&[name.into(), customer.into()]).read().values().iter().map(|hash| hash.rem_euclid(8)).collect()
/// }
/// ```
pub fn hash(columns: &[Key]) -> HostColumn<i64> {
    HostColumn::of(ask(|| raw::hash(&numbers(columns))))
}

/// Rows put together by equal keys.
#[derive(Clone, Copy)]
pub struct Grouping {
    /// How many groups there are.
    pub groups: u32,
    /// For each row its group, from 0 on in the order in which groups first appear.
    pub group_of_row: HostColumn<i64>,
    /// For each group its first row.
    pub first_row: HostColumn<i64>,
}

/// The rows put together that are equal in all columns.
///
/// ```no_run
/// # use domicile_sdk::{HostColumn, Key, kernels};
/// fn totals(customer: &HostColumn<i64>, price: &HostColumn<f64>) -> (HostColumn<i64>, HostColumn<f64>) {
///     let grouping = kernels::group(&[Key::from(customer)]);
///     (customer.take(&grouping.first_row), price.sum_by(&grouping))
/// }
/// ```
pub fn group(keys: &[Key]) -> Grouping {
    let raw::Grouping { groups, group_of_row, first_row } = ask(|| raw::group(&numbers(keys)));
    Grouping { groups, group_of_row: HostColumn::of(group_of_row), first_row: HostColumn::of(first_row) }
}

/// The row numbers of every pair of a left and a right row that are equal in all keys, in the order of the left rows,
/// then of the right.
///
/// ```no_run
/// # use domicile_sdk::{HostColumn, kernels};
/// fn rates(currency: &HostColumn<str>, known: &HostColumn<str>, rate: &HostColumn<f64>) -> HostColumn<f64> {
///     let (_, right) = kernels::join(&[currency.into()], &[known.into()]);
///     rate.take(&right)
/// }
/// ```
pub fn join(left: &[Key], right: &[Key]) -> (HostColumn<i64>, HostColumn<i64>) {
    let pairs = ask(|| raw::join(&numbers(left), &numbers(right)));
    (HostColumn::of(pairs.left), HostColumn::of(pairs.right))
}
