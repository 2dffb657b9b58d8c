//! What holds of every array that the runtime accepts from outside.

use arrow::array::{Array, ArrayRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Checks an array by Arrow's own rules, and reads every row of it.
///
/// # Panics
/// Where a rule is broken, or reading panics.
pub(crate) fn check(array: &ArrayRef) {
    if let Err(problem) = array.to_data().validate_full() {
        panic!("an accepted array is not valid: {problem}");
    }
    let options = FormatOptions::new().with_display_error(true);
    let Ok(formatter) = ArrayFormatter::try_new(array, &options) else { return };
    for row in 0..array.len() {
        assert!(formatter.value(row).try_to_string().is_ok() || !array.is_empty());
    }
}
