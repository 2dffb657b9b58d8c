//! Conversions.

use arrow::array::Array;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};

use super::context::{Kernel, with_one_nan};
use crate::ValueType;
use crate::frame::{kind_of, run_bytes};
use crate::refusal::Refusal;

/// Bytes that a number, date or boolean takes as text, at most.
const TEXT_BYTES_MAX: usize = 32;

pub(super) fn convert(kernel: &mut Kernel<'_>, column: u32, to: ValueType) -> Result<u32, Refusal> {
    let column = kernel.column(column)?;
    let kind = kind_of(&column)?;
    if kind == to {
        return kernel.add(column);
    }
    if !can_cast_types(column.data_type(), &to.arrow_type()) {
        return Err(kernel.misuse(format!("a column of {kind}, which has no form as {to}")));
    }
    let row_bytes = if matches!(to, ValueType::Text | ValueType::Bytes) { TEXT_BYTES_MAX } else { 9 };
    kernel.admit(column.len().saturating_mul(row_bytes).saturating_add(run_bytes(&column)))?;
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let answer = cast_with_options(&column, &to.arrow_type(), &options).map_err(|error| kernel.arrow(&error))?;
    // A text may name another NaN.
    kernel.add(with_one_nan(answer))
}
