//! Columns in the plugin's own memory.

use crate::element::sql_name;
use crate::validity::all_of;
use crate::{Contents, Element, Validity, host};

/// The rows of a column, in the plugin's memory. `T` is `i64`, `f64`, `bool`, [`Date`](crate::Date), `str` or `[u8]`.
///
/// A function that takes `&Column<T>` is called once for a whole batch instead of once a row.
///
/// ```
/// use domicile_sdk::Column;
///
/// let prices = Column::from(vec![10.0, 20.0]);
/// let discounts: Column<f64> = [Some(0.5), None].into_iter().collect();
/// let revenue = prices.zip(&discounts, |price, discount| price * (1.0 - discount));
/// assert_eq!(revenue.iter().collect::<Vec<_>>(), [Some(5.0), None]);
/// ```
pub struct Column<T: Element + ?Sized> {
    pub(crate) values: T::Values,
    pub(crate) validity: Option<Validity>,
}

impl<T: Element + ?Sized> Column<T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        T::rows(&self.values)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which rows have a value; none where all have.
    pub fn validity(&self) -> Option<&Validity> {
        self.validity.as_ref()
    }

    /// The value of a row; none where the row has none.
    ///
    /// # Panics
    /// Where there is no such row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<T::Item<'_>> {
        self.validity.as_ref().is_none_or(|validity| validity.get(row)).then(|| T::at(&self.values, row))
    }

    /// Every row, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<T::Item<'_>>> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Reads a column of the running call.
    pub(crate) fn read(number: u32) -> Result<Self, String> {
        Self::from_contents(host::read(number))
    }

    /// Makes it a column of the running call.
    pub(crate) fn write(self) -> u32 {
        host::write(self.into_contents())
    }

    /// From what the contract calls contents.
    ///
    /// # Errors
    /// Where they have another type.
    pub fn from_contents(contents: Contents) -> Result<Self, String> {
        let found = host::kind_of(&contents.values);
        let values = T::take(contents.values).ok_or_else(|| {
            format!("a column of {} was asked for, this one holds {}", sql_name(T::KIND), sql_name(found))
        })?;
        let rows = T::rows(&values);
        Ok(Self { values, validity: contents.validity.and_then(|bits| Validity::from_bits(bits, rows)) })
    }

    /// As what the contract calls contents.
    pub fn into_contents(self) -> Contents {
        Contents { values: T::give(self.values), validity: self.validity.map(Validity::into_bits) }
    }
}

impl<T: Element<Values = Vec<T>> + Copy> Column<T> {
    /// The values. A row without a value has any placeholder here.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The answer of `each` for every row. Rows without a value stay without one, yet `each` sees their placeholder,
    /// so that the loop has no branch: it must not panic for any value.
    pub fn map<U: Element<Values = Vec<U>> + Copy>(&self, each: impl FnMut(T) -> U) -> Column<U> {
        Column { values: self.values.iter().copied().map(each).collect(), validity: self.validity.clone() }
    }

    /// The answer of `each` for every row of two columns, as in [`Self::map`].
    ///
    /// # Panics
    /// Where the other has another number of rows.
    pub fn zip<U, V>(&self, other: &Column<U>, mut each: impl FnMut(T, U) -> V) -> Column<V>
    where
        U: Element<Values = Vec<U>> + Copy,
        V: Element<Values = Vec<V>> + Copy,
    {
        assert_eq!(self.len(), other.len(), "columns of one call have equally many rows");
        let values = self.values.iter().zip(&other.values).map(|(left, right)| each(*left, *right)).collect();
        Column { values, validity: all_of([self.validity(), other.validity()]) }
    }
}

impl<T: Element<Values = Vec<T>>> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Self {
        Self { values, validity: None }
    }
}

impl<'a, T: Element + ?Sized> FromIterator<Option<T::Item<'a>>> for Column<T> {
    fn from_iter<I: IntoIterator<Item = Option<T::Item<'a>>>>(rows: I) -> Self {
        let mut builder = Builder::default();
        rows.into_iter().for_each(|row| builder.push(row));
        builder.finish()
    }
}

impl<T: Element + ?Sized> Clone for Column<T> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), validity: self.validity.clone() }
    }
}

impl<T: Element + ?Sized> std::fmt::Debug for Column<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Column").field("values", &self.values).field("validity", &self.validity).finish()
    }
}

/// A column that grows row by row.
///
/// ```
/// use domicile_sdk::Builder;
///
/// let mut names = Builder::<str>::default();
/// names.push(Some("one"));
/// names.push(None);
/// let names = names.finish();
/// assert_eq!((names.get(0), names.get(1)), (Some("one"), None));
/// ```
pub struct Builder<T: Element + ?Sized> {
    values: T::Values,
    validity: Option<Validity>,
}

impl<T: Element + ?Sized> Default for Builder<T> {
    fn default() -> Self {
        Self { values: T::Values::default(), validity: None }
    }
}

impl<T: Element + ?Sized> Builder<T> {
    /// With room for so many rows.
    pub fn with_capacity(rows: usize) -> Self {
        let mut builder = Self::default();
        T::reserve(&mut builder.values, rows);
        builder
    }

    /// Adds a row, none for a row without a value.
    ///
    /// # Panics
    /// Where the texts or bytes of all rows together reach 2 GiB.
    #[inline]
    pub fn push(&mut self, item: Option<T::Item<'_>>) {
        if item.is_none() && self.validity.is_none() {
            self.validity = Some(Validity::full(T::rows(&self.values)));
        }
        if let Some(validity) = &mut self.validity {
            validity.push(item.is_some());
        }
        T::push(&mut self.values, item);
    }

    /// The column.
    pub fn finish(self) -> Column<T> {
        Column { values: self.values, validity: self.validity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_survive_the_way_there_and_back() {
        let column: Column<str> = [Some("a"), None, Some("")].into_iter().collect();
        let back = Column::<str>::from_contents(column.clone().into_contents()).expect("it is text");
        assert_eq!(back.iter().collect::<Vec<_>>(), column.iter().collect::<Vec<_>>());
        let error = Column::<i64>::from_contents(column.into_contents()).map(|_| ());
        assert_eq!(error, Err("a column of bigint was asked for, this one holds text".to_owned()));
    }
}
