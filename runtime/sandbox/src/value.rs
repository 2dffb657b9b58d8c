//! Values and their types, between Arrow, the plugin interface and the datasets.

use std::fmt;

use arrow::datatypes::DataType;
use domicile_types::ColumnType;

use crate::wit;

/// The type of a value that passes to or from a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// 64-bit signed integer; Arrow `Int64`.
    BigInt,
    /// IEEE 754 binary64; Arrow `Float64`.
    Double,
    /// UTF-8 text; Arrow `Utf8`.
    Text,
    /// Days since 1970-01-01; Arrow `Date32`.
    Date,
    /// True or false; Arrow `Boolean`.
    Boolean,
}

impl ValueType {
    /// The Arrow type that arrays of it have.
    pub fn arrow_type(self) -> DataType {
        match self {
            Self::BigInt => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Boolean => DataType::Boolean,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BigInt => "bigint",
            Self::Double => "double",
            Self::Text => "text",
            Self::Date => "date",
            Self::Boolean => "boolean",
        })
    }
}

impl From<ValueType> for ColumnType {
    fn from(kind: ValueType) -> Self {
        match kind {
            ValueType::BigInt => Self::BigInt,
            ValueType::Double => Self::Double,
            ValueType::Text => Self::Text,
            ValueType::Date => Self::Date,
            ValueType::Boolean => Self::Boolean,
        }
    }
}

impl From<wit::ValueType> for ValueType {
    fn from(kind: wit::ValueType) -> Self {
        match kind {
            wit::ValueType::BigInt => Self::BigInt,
            wit::ValueType::Double => Self::Double,
            wit::ValueType::Text => Self::Text,
            wit::ValueType::Date => Self::Date,
            wit::ValueType::Boolean => Self::Boolean,
        }
    }
}

/// One value: a parameter's, or an output's.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// An integer.
    BigInt(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// True or false.
    Boolean(bool),
}

impl Value {
    /// Its type; none for null.
    pub fn kind(&self) -> Option<ValueType> {
        match self {
            Self::Null => None,
            Self::BigInt(_) => Some(ValueType::BigInt),
            Self::Double(_) => Some(ValueType::Double),
            Self::Text(_) => Some(ValueType::Text),
            Self::Date(_) => Some(ValueType::Date),
            Self::Boolean(_) => Some(ValueType::Boolean),
        }
    }

    pub(crate) fn lower(&self) -> wit::ValueIn<'_> {
        match self {
            Self::Null => wit::ValueIn::Null,
            Self::BigInt(value) => wit::ValueIn::BigInt(*value),
            Self::Double(value) => wit::ValueIn::Double(*value),
            Self::Text(value) => wit::ValueIn::Text(value),
            Self::Date(value) => wit::ValueIn::Date(*value),
            Self::Boolean(value) => wit::ValueIn::Boolean(*value),
        }
    }
}

impl From<wit::ValueOut> for Value {
    fn from(value: wit::ValueOut) -> Self {
        match value {
            wit::ValueOut::Null => Self::Null,
            wit::ValueOut::BigInt(value) => Self::BigInt(value),
            wit::ValueOut::Double(value) => Self::Double(value),
            wit::ValueOut::Text(value) => Self::Text(value),
            wit::ValueOut::Date(value) => Self::Date(value),
            wit::ValueOut::Boolean(value) => Self::Boolean(value),
        }
    }
}
