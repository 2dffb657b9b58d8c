//! Values and their types, between Arrow, the plugin interface and the datasets.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type};
use domicile_types::ColumnType;
use wasmtime::component::{ComponentType, Lift, Lower};

/// The type of a value that passes to or from a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum ValueType {
    /// 64-bit signed integer; Arrow `Int64`.
    #[component(name = "bigint")]
    BigInt,
    /// IEEE 754 binary64; Arrow `Float64`.
    #[component(name = "double")]
    Double,
    /// UTF-8 text; Arrow `Utf8`.
    #[component(name = "text")]
    Text,
    /// Days since 1970-01-01; Arrow `Date32`.
    #[component(name = "date")]
    Date,
    /// True or false; Arrow `Boolean`.
    #[component(name = "boolean")]
    Boolean,
    /// Any bytes; Arrow `Binary`. Only states of aggregates and partial results of queries have it.
    #[component(name = "bytes")]
    Bytes,
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
            Self::Bytes => DataType::Binary,
        }
    }

    /// The type that arrays of an Arrow type have; none where plugins do not know it.
    pub fn from_arrow(arrow: &DataType) -> Option<Self> {
        Some(match arrow {
            DataType::Int64 => Self::BigInt,
            DataType::Float64 => Self::Double,
            DataType::Utf8 => Self::Text,
            DataType::Date32 => Self::Date,
            DataType::Boolean => Self::Boolean,
            DataType::Binary => Self::Bytes,
            _ => return None,
        })
    }

    /// The type that a dataset's column of it has; none for bytes, which datasets do not have.
    pub fn column_type(self) -> Option<ColumnType> {
        Some(match self {
            Self::BigInt => ColumnType::BigInt,
            Self::Double => ColumnType::Double,
            Self::Text => ColumnType::Text,
            Self::Date => ColumnType::Date,
            Self::Boolean => ColumnType::Boolean,
            Self::Bytes => return None,
        })
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
            Self::Bytes => "bytes",
        })
    }
}

/// One value: a parameter's, or one of a row.
#[derive(Debug, Clone, PartialEq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Value {
    /// No value.
    #[component(name = "null")]
    Null,
    /// An integer.
    #[component(name = "bigint")]
    BigInt(i64),
    /// A number.
    #[component(name = "double")]
    Double(f64),
    /// A text.
    #[component(name = "text")]
    Text(String),
    /// Days since 1970-01-01.
    #[component(name = "date")]
    Date(i32),
    /// True or false.
    #[component(name = "boolean")]
    Boolean(bool),
    /// Any bytes.
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
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
            Self::Bytes(_) => Some(ValueType::Bytes),
        }
    }

    /// The value at a row of an array; none where there is no such row, or plugins do not know the array's type.
    pub fn at(array: &dyn Array, row: usize) -> Option<Self> {
        if row >= array.len() {
            return None;
        }
        let kind = ValueType::from_arrow(array.data_type())?;
        if array.is_null(row) {
            return Some(Self::Null);
        }
        Some(match kind {
            ValueType::BigInt => Self::BigInt(array.as_primitive::<Int64Type>().value(row)),
            ValueType::Double => Self::Double(array.as_primitive::<Float64Type>().value(row)),
            ValueType::Date => Self::Date(array.as_primitive::<Date32Type>().value(row)),
            ValueType::Text => Self::Text(array.as_string::<i32>().value(row).to_owned()),
            ValueType::Boolean => Self::Boolean(array.as_boolean().value(row)),
            ValueType::Bytes => Self::Bytes(array.as_binary::<i32>().value(row).to_owned()),
        })
    }

    /// An array of this one value; none for null, which has no type.
    pub(crate) fn to_array(&self) -> Option<ArrayRef> {
        Some(match self {
            Self::Null => return None,
            Self::BigInt(value) => Arc::new(Int64Array::from(vec![*value])),
            Self::Double(value) => Arc::new(Float64Array::from(vec![*value])),
            Self::Text(value) => Arc::new(StringArray::from(vec![value.as_str()])),
            Self::Date(value) => Arc::new(Date32Array::from(vec![*value])),
            Self::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
            Self::Bytes(value) => Arc::new(BinaryArray::from(vec![value.as_slice()])),
        })
    }
}
