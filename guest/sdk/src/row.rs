//! Rows of tables as ordinary structs.

use std::ops::Range;

use crate::{Builder, Cell, Column, Field, Value, ValueType, host};

/// A row of a table: a struct whose fields are [`Cell`]s. Derive it.
///
/// A field that is no `Option` has a value in every row: a call with rows that lack one fails and says which.
///
/// ```
/// use domicile_sdk::{Date, Row, Table};
///
/// #[derive(Row)]
/// struct Order<'a> {
///     o_orderdate: Option<Date>,
///     o_totalprice: f64,
///     o_comment: &'a str,
/// }
///
/// let orders: Table<Order> = [
///     Order { o_orderdate: None, o_totalprice: 2.0, o_comment: "in vain" },
///     Order { o_orderdate: Some(Date::of(1998, 8, 2)), o_totalprice: 3.0, o_comment: "" },
/// ]
/// .into_iter()
/// .collect();
///
/// assert_eq!(orders.rows().iter().map(|order| order.o_totalprice).sum::<f64>(), 5.0);
/// assert_eq!(orders.rows().columns().o_comment.get(0), Some("in vain"));
/// ```
pub trait Row {
    /// A struct with the same fields, each a [`Column`]; it is called like the row with `Columns` at the end.
    type Columns;
    /// This row with the lifetime of the columns.
    type At<'a>;
    /// A struct of column builders.
    #[doc(hidden)]
    type Builders: Default;
    /// The names and types of the fields.
    const FIELDS: &'static [(&'static str, ValueType)];

    #[doc(hidden)]
    fn read(numbers: &[u32], rows: usize) -> Result<Self::Columns, String>;
    #[doc(hidden)]
    fn at(columns: &Self::Columns, row: usize) -> Self::At<'_>;
    #[doc(hidden)]
    fn put(row: Self::At<'_>, builders: &mut Self::Builders);
    #[doc(hidden)]
    fn build(builders: Self::Builders) -> Self::Columns;
    #[doc(hidden)]
    fn write(columns: Self::Columns) -> Vec<u32>;
}

/// A row that borrows nothing, so that it can be kept. Derived with [`Row`] for structs without lifetimes.
///
/// ```
/// use domicile_sdk::{OwnedRow, Row, Value};
///
/// #[derive(Row)]
/// struct Stock {
///     quantity: Option<i64>,
/// }
///
/// assert_eq!(Stock::from_values(&[Value::Bigint(3)]).unwrap().quantity, Some(3));
/// assert_eq!(Stock { quantity: None }.into_values(), [Value::Null]);
/// ```
pub trait OwnedRow: Row + Sized + 'static {
    /// From one value a field.
    ///
    /// # Errors
    /// Where there are more or fewer values, or one has another type or is null and must not be.
    fn from_values(values: &[Value]) -> Result<Self, String>;
    /// One value a field.
    fn into_values(self) -> Vec<Value>;
}

/// What the contract calls fields.
pub(crate) fn fields(fields: &[(&str, ValueType)]) -> Vec<Field> {
    fields.iter().map(|(name, kind)| Field { name: (*name).to_owned(), kind: *kind }).collect()
}

/// Some rows next to each other: those of one batch, or of one entity.
///
/// ```
/// use domicile_sdk::{Row, Rows, Table};
///
/// #[derive(Row)]
/// struct Order {
///     price: f64,
/// }
///
/// /// Row by row.
/// fn total(orders: &Rows<'_, Order>) -> f64 {
///     orders.iter().map(|order| order.price).sum()
/// }
///
/// /// By column: a loop over a slice.
/// fn total_by_column(orders: &Rows<'_, Order>) -> f64 {
///     orders.columns().price.values()[orders.range()].iter().sum()
/// }
///
/// let orders: Table<Order> = [Order { price: 1.0 }, Order { price: 2.0 }].into_iter().collect();
/// assert_eq!(total(&orders.rows()), total_by_column(&orders.rows()));
/// ```
pub struct Rows<'a, R: Row> {
    columns: &'a R::Columns,
    range: Range<usize>,
}

impl<'a, R: Row> Rows<'a, R> {
    pub(crate) fn of(columns: &'a R::Columns, range: Range<usize>) -> Self {
        Self { columns, range }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Every row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = R::At<'a>> + use<'a, R> {
        let columns = self.columns;
        self.range.clone().map(move |row| R::at(columns, row))
    }

    /// The columns that the rows lie in, together with others: only [`Self::range`] belongs here.
    pub fn columns(&self) -> &'a R::Columns {
        self.columns
    }

    /// Where in the columns the rows lie.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

/// A table in the plugin's memory: rows, collected.
///
/// ```
/// use domicile_sdk::{Row, Table};
///
/// #[derive(Row)]
/// struct Pair<'a> {
///     name: &'a str,
///     count: Option<i64>,
/// }
///
/// let names = String::from("a b");
/// let table: Table<Pair> = names.split(' ').map(|name| Pair { name, count: None }).collect();
/// assert_eq!(table.rows().len(), 2);
/// ```
pub struct Table<R: Row> {
    columns: R::Columns,
    rows: usize,
}

impl<R: Row> Table<R> {
    /// All rows.
    pub fn rows(&self) -> Rows<'_, R> {
        Rows::of(&self.columns, 0..self.rows)
    }

    pub(crate) fn read(rows: u32, numbers: &[u32]) -> Result<Self, String> {
        host::expect_columns(numbers, R::FIELDS.len())?;
        let rows = rows as usize;
        Ok(Self { columns: R::read(numbers, rows)?, rows })
    }

    pub(crate) fn write(self) -> (u32, Vec<u32>) {
        (u32::try_from(self.rows).unwrap_or(u32::MAX), R::write(self.columns))
    }
}

impl<'a, R: Row> FromIterator<R::At<'a>> for Table<R> {
    fn from_iter<I: IntoIterator<Item = R::At<'a>>>(all: I) -> Self {
        let (mut builders, mut rows) = (R::Builders::default(), 0);
        for row in all {
            R::put(row, &mut builders);
            rows += 1;
        }
        Self { columns: R::build(builders), rows }
    }
}

/// One column of a table, read and checked: as many rows as the table, and a value in each if its field is no `Option`.
#[doc(hidden)]
pub fn read_field<C: Cell>(number: u32, rows: usize, name: &str) -> Result<Column<C::Element>, String> {
    let column = Column::read(number).map_err(|error| format!("`{name}`: {error}"))?;
    if column.len() != rows {
        return Err(format!("`{name}` has {} rows instead of {rows}", column.len()));
    }
    match C::missing(&column) {
        Some(validity) => Err(format!(
            "`{name}` has no value in {} of {rows} rows, and its field in the plugin is no `Option`",
            validity.nulls()
        )),
        None => Ok(column),
    }
}

/// The number of a column that a table is written with.
#[doc(hidden)]
pub fn write_field<T: crate::Element + ?Sized>(column: Column<T>) -> u32 {
    column.write()
}

/// One field of a row of values.
#[doc(hidden)]
pub fn value_field<S: crate::Scalar>(values: &[Value], index: usize, name: &str) -> Result<S, String> {
    let value = values.get(index).ok_or_else(|| format!("`{name}` is missing"))?;
    let kind = value_kind(value);
    S::from_value(value).ok_or_else(|| format!("`{name}` came as {kind}, which its field in the plugin cannot hold"))
}

fn value_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bigint(_) => "bigint",
        Value::Double(_) => "double",
        Value::Text(_) => "text",
        Value::Date(_) => "date",
        Value::Boolean(_) => "boolean",
        Value::Bytes(_) => "bytes",
    }
}

/// One column that grows.
#[doc(hidden)]
pub type FieldBuilder<C> = Builder<<C as Cell>::Element>;
