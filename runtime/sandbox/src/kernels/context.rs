//! What all kernels need: the columns of the call, its clock and its limits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;
use domicile_types::limits::PLUGIN_ITEMS_MAX;
use wasmtime::StoreContextMut;

use crate::ValueType;
use crate::frame::{Seen, bytes_of, kind_of};
use crate::host::HostState;
use crate::limit::Limit;
use crate::refusal::Refusal;

/// Rows after which a loop looks at the clock again.
pub(super) const ROWS_BETWEEN_LOOKS: usize = 1 << 16;

/// One call of a kernel.
pub(super) struct Kernel<'a> {
    import: &'static str,
    state: &'a mut HostState,
}

/// Runs a kernel within the limits of the call.
pub(super) fn run<R>(
    mut store: StoreContextMut<'_, HostState>,
    import: &'static str,
    work: impl FnOnce(&mut Kernel<'_>) -> Result<R, Refusal>,
) -> wasmtime::Result<(R,)> {
    let state = store.data_mut();
    state.host_called()?;
    state.check_time()?;
    let result = work(&mut Kernel::new(import, state))?;
    state.check_time()?;
    Ok((result,))
}

impl<'a> Kernel<'a> {
    pub(super) fn new(import: &'static str, state: &'a mut HostState) -> Self {
        Self { import, state }
    }

    /// A column. Of doubles, every NaN is the same one.
    pub(super) fn column(&mut self, number: u32) -> Result<ArrayRef, Refusal> {
        let array = Arc::clone(self.state.frame.get(self.import, number)?);
        match self.state.frame.seen(number) {
            Seen::Same => return Ok(array),
            Seen::Other(copy) => return Ok(copy),
            Seen::Unknown => self.state.check_time()?,
        }
        kind_of(&array)?;
        if !has_other_nan(&array) {
            self.state.frame.note(number, Seen::Same);
            return Ok(array);
        }
        self.admit(bytes_of(&array))?;
        let copy = with_one_nan(array);
        self.state.frame.note(number, Seen::Other(Arc::clone(&copy)));
        Ok(copy)
    }

    /// Columns of the same length, at least one of them.
    pub(super) fn columns(&mut self, numbers: &[u32]) -> Result<Vec<ArrayRef>, Refusal> {
        if numbers.is_empty() || numbers.len() > PLUGIN_ITEMS_MAX {
            return Err(self.misuse(format!("{} columns, from 1 to {PLUGIN_ITEMS_MAX} are accepted", numbers.len())));
        }
        let columns = numbers.iter().map(|number| self.column(*number)).collect::<Result<Vec<_>, _>>()?;
        let rows = rows_of(&columns);
        columns.iter().try_for_each(|column| self.same_rows(rows, column.len()))?;
        Ok(columns)
    }

    pub(super) fn booleans(&mut self, number: u32) -> Result<BooleanArray, Refusal> {
        let column = self.column(number)?;
        column.as_boolean_opt().cloned().ok_or_else(|| self.wrong_type(&column, ValueType::Boolean))
    }

    pub(super) fn bigints(&mut self, number: u32) -> Result<Int64Array, Refusal> {
        let column = self.column(number)?;
        column.as_primitive_opt::<Int64Type>().cloned().ok_or_else(|| self.wrong_type(&column, ValueType::BigInt))
    }

    /// Takes in what the kernel made.
    pub(super) fn add(&mut self, column: ArrayRef) -> Result<u32, Refusal> {
        let number = self.state.frame.add(column)?;
        self.state.frame.note(number, Seen::Same);
        Ok(number)
    }

    /// Whether the call may have so many bytes of columns more.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), Refusal> {
        self.state.frame.admit(bytes)
    }

    /// Looks at the clock now and then; `row` counts up from 0.
    pub(super) fn at_row(&mut self, row: usize) -> Result<(), Refusal> {
        if row.is_multiple_of(ROWS_BETWEEN_LOOKS) { self.state.check_time() } else { Ok(()) }
    }

    pub(super) fn same_rows(&self, rows: usize, others: usize) -> Result<(), Refusal> {
        if rows == others { Ok(()) } else { Err(self.misuse("columns of different lengths".to_owned())) }
    }

    pub(super) fn misuse(&self, detail: String) -> Refusal {
        Refusal::Misuse { import: self.import, detail }
    }

    /// What Arrow refuses although the columns were looked at: texts that do not fit into one array.
    pub(super) fn arrow(&self, error: &ArrowError) -> Refusal {
        match error {
            ArrowError::OffsetOverflowError(_) => Refusal::Limit(Limit::ColumnBytes(i32::MAX as usize)),
            _ => self.misuse("columns that do not go together".to_owned()),
        }
    }

    fn wrong_type(&self, column: &ArrayRef, wanted: ValueType) -> Refusal {
        let found = ValueType::from_arrow(column.data_type()).map_or_else(String::new, |found| found.to_string());
        self.misuse(format!("a column of {found} where {wanted} is needed"))
    }
}

/// NaNs differ in bits that mean nothing, and some count as below all numbers. Here there is one, above all of them.
pub(super) fn with_one_nan(array: ArrayRef) -> ArrayRef {
    match array.as_primitive_opt::<Float64Type>() {
        Some(doubles) if has_other_nan(&array) => Arc::new(doubles.unary::<_, Float64Type>(one_nan)),
        _ => array,
    }
}

/// Whether a column of doubles has another NaN.
fn has_other_nan(array: &ArrayRef) -> bool {
    let Some(doubles) = array.as_primitive_opt::<Float64Type>() else { return false };
    // Without a way out of the loop, it is one of vector instructions.
    let any = doubles.values().iter().fold(false, |any, value| any | value.is_nan());
    let is_other = |value: &f64| value.is_nan() && value.to_bits() != f64::NAN.to_bits();
    any && doubles.values().iter().any(is_other)
}

/// The value, with the one NaN for every NaN.
pub(super) fn one_nan(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// Row or group numbers as a column without nulls.
pub(super) fn numbers(numbers: &[u32]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(numbers.iter().copied().map(i64::from)))
}

/// The rows of columns that have the same length.
pub(super) fn rows_of(columns: &[ArrayRef]) -> usize {
    columns.first().map_or(0, |column| column.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Call, array};
    use super::*;
    use crate::frame::Frame;
    use crate::{SandboxLimits, Value};

    #[test]
    fn a_column_with_other_nans_is_copied_once_and_counts() {
        let mut call = Call::new(&[(ValueType::Double, &[Value::Double(-f64::NAN), Value::Double(1.0)])]);
        let columns = call.kernel().columns(&[0; 64]).expect("columns");
        assert!(columns.iter().all(|column| Arc::ptr_eq(column, &columns[0])));
        let limits = SandboxLimits { column_bytes_max: 16, ..SandboxLimits::default() };
        call.0.frame = Frame::new(&limits);
        call.0.frame.begin(&[
            Arc::clone(&columns[0]),
            array(ValueType::Double, &[Value::Double(-f64::NAN), Value::Null, Value::Null]),
        ]);
        assert!(call.kernel().column(0).is_ok());
        assert!(matches!(call.kernel().column(1), Err(Refusal::Limit(Limit::ColumnBytes(16)))));
    }
}
