//! The columns of the running call, where there is no host.

use std::cell::RefCell;
use std::sync::Arc;

use crate::{Contents, Values};

thread_local! {
    static COLUMNS: RefCell<Vec<Arc<Contents>>> = const { RefCell::new(Vec::new()) };
}

/// As the host's `read`: one copy.
pub(crate) fn read(number: u32) -> Contents {
    Contents::clone(&get(number))
}

/// As the host's `rows`.
pub(crate) fn rows(number: u32) -> u32 {
    u32::try_from(rows_of(&get(number))).unwrap_or(u32::MAX)
}

/// As the host's `write`.
pub(crate) fn write(contents: Contents) -> u32 {
    add(Arc::new(contents))
}

/// Makes a column of the running call without a copy.
pub(super) fn add(contents: Arc<Contents>) -> u32 {
    COLUMNS.with_borrow_mut(|columns| {
        columns.push(contents);
        u32::try_from(columns.len() - 1).expect("a call has fewer columns than that")
    })
}

/// A column of the running call, without a copy.
pub(super) fn get(number: u32) -> Arc<Contents> {
    COLUMNS
        .with_borrow(|columns| columns.get(number as usize).cloned())
        .unwrap_or_else(|| panic!("{number} is no column of this call; columns are valid until the call returns"))
}

/// Runs one call: its columns are gone afterwards, also where it panics.
pub(super) fn during<T>(call: impl FnOnce() -> T) -> T {
    struct Clear;
    impl Drop for Clear {
        fn drop(&mut self) {
            COLUMNS.with_borrow_mut(Vec::clear);
        }
    }
    let _clear = Clear;
    call()
}

/// The rows of contents.
fn rows_of(contents: &Contents) -> usize {
    let offsets = |offsets: &Vec<i32>| offsets.len().saturating_sub(1);
    match &contents.values {
        Values::Bigint(values) => values.len(),
        Values::Double(values) => values.len(),
        Values::Text(runs) | Values::Bytes(runs) => offsets(&runs.offsets),
        Values::Date(values) => values.len(),
        Values::Boolean(values) => values.len(),
        Values::Dictionary(dictionary) => dictionary.indices.len(),
    }
}
