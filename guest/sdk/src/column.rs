//! Columns read row by row.

use crate::{Column, Date, Values};

/// A column of one Rust type.
pub struct Typed<'a, T> {
    values: &'a [T],
    validity: Option<&'a [u8]>,
}

impl<T: Copy> Typed<'_, T> {
    /// The value of a row; none where the row has none.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn get(&self, row: usize) -> Option<T> {
        is_valid(self.validity, row).then(|| self.values[row])
    }

    /// Every row, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<T>> + '_ {
        (0..self.values.len()).map(|row| self.get(row))
    }
}

/// A column of texts.
pub struct Texts<'a> {
    offsets: &'a [i32],
    bytes: &'a [u8],
    validity: Option<&'a [u8]>,
}

impl<'a> Texts<'a> {
    /// The text of a row; none where the row has none.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        if !is_valid(self.validity, row) {
            return None;
        }
        let text = &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize];
        Some(std::str::from_utf8(text).expect("the host sends UTF-8"))
    }

    /// Every row, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a str>> + '_ {
        (0..self.offsets.len().saturating_sub(1)).map(|row| self.get(row))
    }
}

/// A column of dates.
pub struct Dates<'a>(Typed<'a, i32>);

impl Dates<'_> {
    /// The date of a row; none where the row has none.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn get(&self, row: usize) -> Option<Date> {
        self.0.get(row).map(Date)
    }

    /// Every row, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<Date>> + '_ {
        self.0.iter().map(|days| days.map(Date))
    }
}

fn is_valid(validity: Option<&[u8]>, row: usize) -> bool {
    validity.is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1)
}

fn mismatch(column: &Column, wanted: &str) -> String {
    let found = match &column.values {
        Values::Bigint(_) => "bigint",
        Values::Double(_) => "double",
        Values::Text(_) => "text",
        Values::Date(_) => "date",
        Values::Boolean(_) => "boolean",
    };
    format!("a column of {wanted} was asked for, this one holds {found}")
}

impl Column {
    /// The column as 64-bit integers.
    ///
    /// # Errors
    /// Where it has another type.
    pub fn bigints(&self) -> Result<Typed<'_, i64>, String> {
        match &self.values {
            Values::Bigint(values) => Ok(Typed { values, validity: self.validity.as_deref() }),
            _ => Err(mismatch(self, "bigint")),
        }
    }

    /// The column as doubles.
    ///
    /// # Errors
    /// Where it has another type.
    pub fn doubles(&self) -> Result<Typed<'_, f64>, String> {
        match &self.values {
            Values::Double(values) => Ok(Typed { values, validity: self.validity.as_deref() }),
            _ => Err(mismatch(self, "double")),
        }
    }

    /// The column as truth values.
    ///
    /// # Errors
    /// Where it has another type.
    pub fn booleans(&self) -> Result<Typed<'_, bool>, String> {
        match &self.values {
            Values::Boolean(values) => Ok(Typed { values, validity: self.validity.as_deref() }),
            _ => Err(mismatch(self, "boolean")),
        }
    }

    /// The column as dates.
    ///
    /// # Errors
    /// Where it has another type.
    pub fn dates(&self) -> Result<Dates<'_>, String> {
        match &self.values {
            Values::Date(values) => Ok(Dates(Typed { values, validity: self.validity.as_deref() })),
            _ => Err(mismatch(self, "date")),
        }
    }

    /// The column as texts.
    ///
    /// # Errors
    /// Where it has another type.
    pub fn texts(&self) -> Result<Texts<'_>, String> {
        match &self.values {
            Values::Text(texts) => {
                Ok(Texts { offsets: &texts.offsets, bytes: &texts.bytes, validity: self.validity.as_deref() })
            }
            _ => Err(mismatch(self, "text")),
        }
    }
}
