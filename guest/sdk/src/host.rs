//! The few calls to the host that everything else stands on. Natively, a table of this thread takes the host's place.

use crate::{ValueType, Values};

/// The type of values.
pub(crate) fn kind_of(values: &Values) -> ValueType {
    match values {
        Values::Bigint(_) => ValueType::Bigint,
        Values::Double(_) => ValueType::Double,
        Values::Text(_) | Values::Dictionary(_) => ValueType::Text,
        Values::Date(_) => ValueType::Date,
        Values::Boolean(_) => ValueType::Boolean,
        Values::Bytes(_) => ValueType::Bytes,
    }
}

#[cfg(target_family = "wasm")]
mod region {
    use crate::bindings::functions::domicile::plugin::columns;
    use crate::{Contents, Level};

    pub(crate) use columns::{read, rows};

    pub(crate) fn write(contents: Contents) -> u32 {
        columns::write(&contents)
    }

    pub(crate) fn log(level: Level, message: &str) {
        crate::bindings::functions::domicile::plugin::host::log(level, message);
    }
}

#[cfg(target_family = "wasm")]
pub(crate) use region::{read, rows, write};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::native::table::{read, rows, write};

/// Adds a line to the plugin's log, which stays in the region. Natively, it is printed to standard error.
///
/// ```
/// use domicile_sdk::{Level, log};
///
/// log(Level::Info, "the parameter `as_of` lies before the first order");
/// ```
pub fn log(level: crate::Level, message: &str) {
    #[cfg(target_family = "wasm")]
    region::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

/// Columns that a call gets, after it was checked that there are as many as declared.
///
/// # Errors
/// Where there are more or fewer.
pub(crate) fn expect_columns(found: &[u32], declared: usize) -> Result<(), String> {
    match found.len() == declared {
        true => Ok(()),
        false => Err(format!("{declared} columns were declared, the call has {}", found.len())),
    }
}
