//! The greatest and least of values.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type};

/// Which of the values at `places` is the greatest, or with [`Ordering::Less`] the least; of equal ones the last. None
/// where all are missing.
pub(super) fn place(array: &dyn Array, places: &[usize], side: Ordering) -> Option<usize> {
    let valid = places.iter().copied().filter(|place| array.is_valid(*place));
    valid.reduce(|best, place| {
        let order = compare(array, place, best);
        if order == side || order == Ordering::Equal { place } else { best }
    })
}

/// False before true, texts by code points, NaN after all numbers whatever its sign, -0 before 0.
fn compare(array: &dyn Array, one: usize, other: usize) -> Ordering {
    macro_rules! values {
        ($values:expr) => {{
            let values = $values;
            values.value(one).cmp(&values.value(other))
        }};
    }
    match array.data_type() {
        DataType::Int64 => values!(array.as_primitive::<Int64Type>()),
        DataType::Int32 => values!(array.as_primitive::<Int32Type>()),
        DataType::Date32 => values!(array.as_primitive::<Date32Type>()),
        DataType::Decimal128(..) => values!(array.as_primitive::<Decimal128Type>()),
        DataType::Utf8 => values!(array.as_string::<i32>()),
        DataType::Boolean => values!(array.as_boolean()),
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            let value = |place| Some(values.value(place)).filter(|value| !value.is_nan()).unwrap_or(f64::NAN.abs());
            value(one).total_cmp(&value(other))
        }
        // No column of a dataset has another type.
        _ => Ordering::Equal,
    }
}
