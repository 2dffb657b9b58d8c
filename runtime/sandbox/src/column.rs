//! Arrow arrays to the plugin interface's columns and back.
//!
//! On the way in, buffers are borrowed where the layouts agree, so that the engine's copy into the plugin's memory is
//! the only one. On the way back nothing is believed: lengths, offsets, UTF-8 and types are checked.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type};

use crate::ValueType;
use crate::wit;

/// Whether the arrays are what was declared.
pub(crate) fn check(
    arrays: &[ArrayRef],
    kinds: impl ExactSizeIterator<Item = ValueType>,
    rows: usize,
) -> Result<(), String> {
    if arrays.len() != kinds.len() {
        return Err(format!("{} columns where {} are declared", arrays.len(), kinds.len()));
    }
    for (position, (array, kind)) in arrays.iter().zip(kinds).enumerate() {
        if *array.data_type() != kind.arrow_type() {
            return Err(format!("column {position} is a {}, not a {}", array.data_type(), kind.arrow_type()));
        }
        if array.len() != rows {
            return Err(format!("column {position} has {} rows, not {rows}", array.len()));
        }
    }
    Ok(())
}

/// An array with the parts of it that the interface wants in another layout.
pub(crate) struct LoweredColumn<'a> {
    validity: Option<Buffer>,
    values: LoweredValues<'a>,
}

enum LoweredValues<'a> {
    BigInt(&'a [i64]),
    Double(&'a [f64]),
    Date(&'a [i32]),
    Text { offsets: Offsets<'a>, bytes: &'a [u8] },
    Boolean(Vec<bool>),
}

enum Offsets<'a> {
    FromZero(&'a [i32]),
    Moved(Vec<i32>),
}

impl<'a> LoweredColumn<'a> {
    pub(crate) fn new(array: &'a ArrayRef) -> Result<Self, String> {
        let values = match array.data_type() {
            DataType::Int64 => LoweredValues::BigInt(array.as_primitive::<Int64Type>().values()),
            DataType::Float64 => LoweredValues::Double(array.as_primitive::<Float64Type>().values()),
            DataType::Date32 => LoweredValues::Date(array.as_primitive::<Date32Type>().values()),
            DataType::Boolean => LoweredValues::Boolean(array.as_boolean().values().iter().collect()),
            DataType::Utf8 => lower_texts(array.as_string::<i32>()),
            other => return Err(format!("a column of {other} cannot be passed to a plugin")),
        };
        let validity = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| nulls.inner().sliced());
        Ok(Self { validity, values })
    }

    pub(crate) fn as_param(&self) -> wit::ColumnIn<'_> {
        let values = match &self.values {
            LoweredValues::BigInt(values) => wit::ValuesIn::BigInt(values),
            LoweredValues::Double(values) => wit::ValuesIn::Double(values),
            LoweredValues::Date(values) => wit::ValuesIn::Date(values),
            LoweredValues::Boolean(values) => wit::ValuesIn::Boolean(values),
            LoweredValues::Text { offsets, bytes } => {
                let offsets = match offsets {
                    Offsets::FromZero(offsets) => offsets,
                    Offsets::Moved(offsets) => offsets.as_slice(),
                };
                wit::ValuesIn::Text(wit::TextsIn { offsets, bytes })
            }
        };
        wit::ColumnIn { values, validity: self.validity.as_deref() }
    }
}

fn lower_texts(texts: &StringArray) -> LoweredValues<'_> {
    let offsets = texts.value_offsets();
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    // A slice of a longer array starts in the middle of its bytes. The plugin gets its own rows' bytes only.
    let bytes = &texts.value_data()[first as usize..last as usize];
    let offsets = match first {
        0 => Offsets::FromZero(offsets),
        _ => Offsets::Moved(offsets.iter().map(|offset| offset - first).collect()),
    };
    LoweredValues::Text { offsets, bytes }
}

/// Rows that a returned column claims to have.
pub(crate) fn row_count(column: &wit::ColumnOut) -> usize {
    match &column.values {
        wit::ValuesOut::BigInt(values) => values.len(),
        wit::ValuesOut::Double(values) => values.len(),
        wit::ValuesOut::Date(values) => values.len(),
        wit::ValuesOut::Boolean(values) => values.len(),
        wit::ValuesOut::Text(texts) => texts.offsets.len().saturating_sub(1),
    }
}

/// A returned column as an array, or what is wrong with it.
pub(crate) fn lift(column: wit::ColumnOut, kind: ValueType, rows: usize) -> Result<ArrayRef, String> {
    let found = row_count(&column);
    if found != rows {
        return Err(format!("{found} rows where {rows} were asked for"));
    }
    let nulls = column.validity.map(|bits| lift_validity(bits, rows)).transpose()?;
    match (column.values, kind) {
        (wit::ValuesOut::BigInt(values), ValueType::BigInt) => lift_primitive::<Int64Type>(values, nulls),
        (wit::ValuesOut::Double(values), ValueType::Double) => lift_primitive::<Float64Type>(values, nulls),
        (wit::ValuesOut::Date(values), ValueType::Date) => lift_primitive::<Date32Type>(values, nulls),
        (wit::ValuesOut::Boolean(values), ValueType::Boolean) => {
            Ok(Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)))
        }
        (wit::ValuesOut::Text(texts), ValueType::Text) => lift_texts(texts, nulls),
        _ => Err(format!("a column of another type than {kind}, which is declared")),
    }
}

fn lift_validity(bits: Vec<u8>, rows: usize) -> Result<NullBuffer, String> {
    let needed = rows.div_ceil(8);
    if bits.len() != needed {
        return Err(format!("a validity of {} bytes where {needed} are needed", bits.len()));
    }
    Ok(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)))
}

fn lift_primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, String> {
    let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), nulls).map_err(|error| error.to_string())?;
    Ok(Arc::new(array))
}

fn lift_texts(texts: wit::TextsOut, nulls: Option<NullBuffer>) -> Result<ArrayRef, String> {
    let (Some(first), Some(last)) = (texts.offsets.first(), texts.offsets.last()) else {
        return Err("texts without offsets".to_owned());
    };
    if *first < 0 || !texts.offsets.is_sorted() || usize::try_from(*last).is_ok_and(|last| last > texts.bytes.len()) {
        return Err("texts whose offsets are negative, descending or beyond their bytes".to_owned());
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(texts.offsets));
    StringArray::try_new(offsets, Buffer::from_vec(texts.bytes), nulls)
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|_| "texts that are not UTF-8".to_owned())
}
