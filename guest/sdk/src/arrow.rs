//! Arrow arrays as arguments and answers of functions.

use std::sync::Arc;

use arrow_array::{Array, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow_array::{GenericByteArray, PrimitiveArray, types};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::host::{self, kind_of};
use crate::{ColumnAnswer, ColumnArgument, Contents, Runs, Validity, ValueType, Values, element::sql_name};

fn mismatch(wanted: ValueType, found: &Values) -> String {
    format!("a column of {} was asked for, this one holds {}", sql_name(wanted), sql_name(kind_of(found)))
}

fn nulls(validity: Option<Vec<u8>>, rows: usize) -> Option<NullBuffer> {
    validity.map(|bits| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)))
}

fn validity(array: &dyn Array) -> Option<Vec<u8>> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0)?;
    let valid: Vec<bool> = nulls.iter().collect();
    Some(Validity::of(&valid).into_bits())
}

/// The values without a copy, where nobody else has them.
fn values<T: ArrowNativeType>(buffer: ScalarBuffer<T>) -> Vec<T> {
    buffer.into_inner().into_vec().unwrap_or_else(|buffer| ScalarBuffer::<T>::from(buffer).to_vec())
}

macro_rules! primitive {
    ($array:ty, $type:ty, $kind:ident) => {
        impl ColumnArgument for $array {
            const KIND: ValueType = ValueType::$kind;

            fn from_number(number: u32) -> Result<Self, String> {
                let Contents { values, validity } = host::read(number);
                let Values::$kind(values) = values else { return Err(mismatch(ValueType::$kind, &values)) };
                let rows = values.len();
                PrimitiveArray::<$type>::try_new(ScalarBuffer::from(values), nulls(validity, rows))
                    .map_err(|error| error.to_string())
            }
        }

        impl ColumnAnswer for $array {
            const KIND: ValueType = ValueType::$kind;

            fn into_number(self) -> Result<(u32, usize), String> {
                let (rows, validity) = (self.len(), validity(&self));
                let (_, buffer, _) = self.into_parts();
                Ok((host::write(Contents { values: Values::$kind(values(buffer)), validity }), rows))
            }
        }
    };
}

primitive!(Int64Array, types::Int64Type, Bigint);
primitive!(Float64Array, types::Float64Type, Double);
primitive!(Date32Array, types::Date32Type, Date);

macro_rules! runs {
    ($array:ty, $type:ty, $kind:ident) => {
        impl ColumnArgument for $array {
            const KIND: ValueType = ValueType::$kind;

            fn from_number(number: u32) -> Result<Self, String> {
                let Contents { values, validity } = host::read(number);
                let Values::$kind(Runs { offsets, bytes }) = values else {
                    return Err(mismatch(ValueType::$kind, &values));
                };
                let rows = offsets.len().saturating_sub(1);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                GenericByteArray::<$type>::try_new(offsets, Buffer::from_vec(bytes), nulls(validity, rows))
                    .map_err(|error| error.to_string())
            }
        }

        impl ColumnAnswer for $array {
            const KIND: ValueType = ValueType::$kind;

            fn into_number(self) -> Result<(u32, usize), String> {
                let (rows, validity) = (self.len(), validity(&self));
                let (offsets, bytes, _) = self.into_parts();
                let offsets = values(offsets.into_inner());
                let bytes = bytes.into_vec().unwrap_or_else(|bytes| bytes.to_vec());
                Ok((host::write(Contents { values: Values::$kind(Runs { offsets, bytes }), validity }), rows))
            }
        }
    };
}

runs!(StringArray, types::Utf8Type, Text);
runs!(BinaryArray, types::BinaryType, Bytes);

impl ColumnArgument for BooleanArray {
    const KIND: ValueType = ValueType::Boolean;

    fn from_number(number: u32) -> Result<Self, String> {
        let Contents { values, validity } = host::read(number);
        let Values::Boolean(values) = values else { return Err(mismatch(ValueType::Boolean, &values)) };
        let nulls = nulls(validity, values.len());
        Ok(Self::new(BooleanBuffer::from(values), nulls))
    }
}

impl ColumnAnswer for BooleanArray {
    const KIND: ValueType = ValueType::Boolean;

    fn into_number(self) -> Result<(u32, usize), String> {
        let values = Values::Boolean(self.values().iter().collect());
        Ok((host::write(Contents { values, validity: validity(&self) }), self.len()))
    }
}

/// An Arrow array behind a shared pointer answers as itself.
impl<A: ColumnAnswer + Clone> ColumnAnswer for Arc<A> {
    const KIND: ValueType = A::KIND;

    fn into_number(self) -> Result<(u32, usize), String> {
        Arc::unwrap_or_clone(self).into_number()
    }
}
