//! The interface `columns`: Arrow arrays into a plugin's memory and back.
//!
//! On the way in, buffers are borrowed where the layouts agree, so that the engine's copy into the plugin's memory is
//! the only one. On the way back nothing is believed: lengths, offsets, UTF-8 and indices are checked.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, PrimitiveArray, StringArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type};
use wasmtime::StoreContextMut;
use wasmtime::component::LinkerInstance;

use crate::frame::{bytes_of, kind_of};
use crate::host::HostState;
use crate::refusal::Refusal;
use crate::unchecked::Elements;
use crate::wit::{ContentsIn, ContentsOut, DictionaryOut, RunsIn, RunsOut, ValuesIn, ValuesOut};
use crate::{Field, ValueType};

const OFFSETS: &str = "runs whose offsets are negative, descending or beyond their bytes";

/// The functions of the interface.
pub(crate) const FUNCTIONS: [&str; 4] = ["read", "write", "kind", "rows"];

/// Gives the functions to plugins.
pub(crate) fn define(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    interface.func_wrap("read", |mut store: StoreContextMut<'_, HostState>, (column,): (u32,)| {
        let state = store.data_mut();
        state.host_called()?;
        let array = state.frame.get("columns.read", column)?;
        let contents = lower(array)?;
        state.traffic.bytes_in += bytes_of(array) as u64;
        Ok((contents,))
    })?;
    interface.func_wrap("write", |mut store: StoreContextMut<'_, HostState>, (contents,): (ContentsOut,)| {
        let state = store.data_mut();
        state.host_called()?;
        state.frame.admit(expanded_bytes(&contents))?;
        let array = lift(contents).map_err(|detail| Refusal::Misuse { import: "columns.write", detail })?;
        state.traffic.bytes_out += bytes_of(&array) as u64;
        Ok((state.frame.add(array)?,))
    })?;
    interface.func_wrap("kind", |mut store: StoreContextMut<'_, HostState>, (column,): (u32,)| {
        let state = store.data_mut();
        state.host_called()?;
        Ok((kind_of(state.frame.get("columns.kind", column)?)?,))
    })?;
    interface.func_wrap("rows", |mut store: StoreContextMut<'_, HostState>, (column,): (u32,)| {
        let state = store.data_mut();
        state.host_called()?;
        // A frame takes no column with more rows than the type of the answer has numbers.
        Ok((u32::try_from(state.frame.get("columns.rows", column)?.len()).unwrap_or(u32::MAX),))
    })
}

/// Whether arrays are what was declared.
pub(crate) fn check(arrays: &[ArrayRef], declared: &[Field], rows: usize) -> Result<(), String> {
    if arrays.len() != declared.len() {
        return Err(format!("{} columns where {} are declared", arrays.len(), declared.len()));
    }
    for (array, field) in arrays.iter().zip(declared) {
        check_column(array, field.kind, rows).map_err(|problem| format!("`{}` {problem}", field.name))?;
    }
    Ok(())
}

/// Whether an array is what was declared.
pub(crate) fn check_column(array: &ArrayRef, kind: ValueType, rows: usize) -> Result<(), String> {
    if *array.data_type() != kind.arrow_type() {
        return Err(format!("is a {}, not a {}", array.data_type(), kind.arrow_type()));
    }
    if array.len() != rows {
        return Err(format!("has {} rows, not {rows}", array.len()));
    }
    Ok(())
}

fn lower(array: &ArrayRef) -> Result<ContentsIn, Refusal> {
    let values = match kind_of(array)? {
        ValueType::BigInt => ValuesIn::BigInt(Elements(array.as_primitive::<Int64Type>().values().clone())),
        ValueType::Double => ValuesIn::Double(Elements(array.as_primitive::<Float64Type>().values().clone())),
        ValueType::Date => ValuesIn::Date(Elements(array.as_primitive::<Date32Type>().values().clone())),
        ValueType::Boolean => ValuesIn::Boolean(array.as_boolean().values().iter().collect()),
        ValueType::Text => {
            let texts = array.as_string::<i32>();
            ValuesIn::Text(lower_runs(texts.offsets(), texts.values()))
        }
        ValueType::Bytes => {
            let runs = array.as_binary::<i32>();
            ValuesIn::Bytes(lower_runs(runs.offsets(), runs.values()))
        }
    };
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let validity = nulls.map(|nulls| {
        let bits = nulls.inner().sliced();
        let bytes = nulls.len().div_ceil(8);
        Elements(ScalarBuffer::new(bits, 0, bytes))
    });
    Ok(ContentsIn { values, validity })
}

/// A slice of a longer array starts in the middle of its bytes: a plugin gets the bytes of its own rows only.
fn lower_runs(offsets: &OffsetBuffer<i32>, bytes: &Buffer) -> RunsIn {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    // Arrow keeps offsets from 0 up, never descending, and within the bytes.
    let (start, length) = (first as usize, (last - first) as usize);
    let offsets = match first {
        0 => offsets.inner().clone(),
        _ => offsets.iter().map(|offset| offset - first).collect(),
    };
    RunsIn { offsets: Elements(offsets), bytes: Elements(ScalarBuffer::new(bytes.clone(), start, length)) }
}

/// Bytes that a column will take, which for a dictionary can be far more than came over.
fn expanded_bytes(contents: &ContentsOut) -> usize {
    let validity = contents.validity.as_ref().map_or(0, Vec::len);
    validity
        + match &contents.values {
            ValuesOut::BigInt(values) => values.len() * 8,
            ValuesOut::Double(values) => values.len() * 8,
            ValuesOut::Date(values) => values.len() * 4,
            ValuesOut::Boolean(values) => values.len().div_ceil(8),
            ValuesOut::Text(runs) | ValuesOut::Bytes(runs) => runs.offsets.len() * 4 + runs.bytes.len(),
            ValuesOut::Dictionary(DictionaryOut { indices, texts }) => {
                let length = |index: &u32| {
                    let at = usize::try_from(*index).unwrap_or(usize::MAX);
                    let (start, end) = (texts.offsets.get(at), texts.offsets.get(at.saturating_add(1)));
                    let bytes = start.zip(end).and_then(|(start, end)| end.checked_sub(*start));
                    // Offsets that make no sense are refused later.
                    bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default()
                };
                indices.iter().map(length).fold(indices.len() * 4, usize::saturating_add)
            }
        }
}

/// A column as an array, or what is wrong with it.
fn lift(contents: ContentsOut) -> Result<ArrayRef, String> {
    let validity = contents.validity;
    match contents.values {
        ValuesOut::BigInt(values) => lift_primitive::<Int64Type>(values, validity),
        ValuesOut::Double(values) => lift_primitive::<Float64Type>(values, validity),
        ValuesOut::Date(values) => lift_primitive::<Date32Type>(values, validity),
        ValuesOut::Boolean(values) => {
            let nulls = lift_validity(validity, values.len())?;
            Ok(Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)))
        }
        ValuesOut::Text(runs) => {
            let (offsets, bytes) = lift_runs(runs)?;
            let nulls = lift_validity(validity, offsets.len() - 1)?;
            Ok(Arc::new(lift_texts(offsets, bytes, nulls)?))
        }
        ValuesOut::Bytes(runs) => {
            let (offsets, bytes) = lift_runs(runs)?;
            let nulls = lift_validity(validity, offsets.len() - 1)?;
            let array = BinaryArray::try_new(offsets, bytes, nulls).map_err(|error| error.to_string())?;
            Ok(Arc::new(array))
        }
        ValuesOut::Dictionary(dictionary) => lift_dictionary(dictionary, validity),
    }
}

fn lift_validity(bits: Option<Vec<u8>>, rows: usize) -> Result<Option<NullBuffer>, String> {
    let Some(bits) = bits else { return Ok(None) };
    let needed = rows.div_ceil(8);
    if bits.len() != needed {
        return Err(format!("a validity of {} bytes where {needed} are needed", bits.len()));
    }
    Ok(Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows))))
}

fn lift_primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    validity: Option<Vec<u8>>,
) -> Result<ArrayRef, String> {
    let nulls = lift_validity(validity, values.len())?;
    let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), nulls).map_err(|error| error.to_string())?;
    Ok(Arc::new(array))
}

fn lift_runs(runs: RunsOut) -> Result<(OffsetBuffer<i32>, Buffer), String> {
    let RunsOut { mut offsets, mut bytes } = runs;
    let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
        return Err("runs without offsets, of which there is one more than there are rows".to_owned());
    };
    let (Ok(start), Ok(end)) = (usize::try_from(first), usize::try_from(last)) else { return Err(OFFSETS.to_owned()) };
    if end > bytes.len() || !offsets.is_sorted() {
        return Err(OFFSETS.to_owned());
    }
    // Bytes of no row mean nothing, so what they are is not looked at.
    bytes.truncate(end);
    if start > 0 {
        bytes.drain(..start);
        offsets.iter_mut().for_each(|offset| *offset -= first);
    }
    Ok((OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes)))
}

fn lift_texts(offsets: OffsetBuffer<i32>, bytes: Buffer, nulls: Option<NullBuffer>) -> Result<StringArray, String> {
    StringArray::try_new(offsets, bytes, nulls).map_err(|_| "texts that are not UTF-8".to_owned())
}

fn lift_dictionary(dictionary: DictionaryOut, validity: Option<Vec<u8>>) -> Result<ArrayRef, String> {
    let DictionaryOut { indices, texts } = dictionary;
    let nulls = lift_validity(validity, indices.len())?;
    let (offsets, bytes) = lift_runs(texts)?;
    let texts = lift_texts(offsets, bytes, None)?;
    let present = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let mut runs = Vec::new();
    let mut ends = Vec::with_capacity(indices.len() + 1);
    ends.push(0_i32);
    for (row, index) in indices.iter().enumerate() {
        // A row without a value has any placeholder.
        if present(row) {
            let index = usize::try_from(*index).ok().filter(|index| *index < texts.len());
            let index =
                index.ok_or_else(|| format!("a dictionary of {} texts with an index beyond them", texts.len()))?;
            runs.extend_from_slice(texts.value(index).as_bytes());
        }
        ends.push(i32::try_from(runs.len()).map_err(|_| "texts of more than 2 GiB".to_owned())?);
    }
    let array = lift_texts(OffsetBuffer::new(ScalarBuffer::from(ends)), Buffer::from_vec(runs), nulls)?;
    Ok(Arc::new(array))
}
