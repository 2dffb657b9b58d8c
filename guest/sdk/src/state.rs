//! States of aggregates as bytes, by way of serde.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state in the Postcard format.
///
/// ```
/// let bytes = domicile_sdk::state::to_bytes(&(1_u8, "two")).unwrap();
/// assert_eq!(domicile_sdk::state::from_bytes(&bytes), Ok((1_u8, "two".to_owned())));
/// ```
///
/// # Errors
/// Where the state's own serialization fails.
pub fn to_bytes<S: Serialize>(state: &S) -> Result<Vec<u8>, String> {
    postcard::to_allocvec(state).map_err(|error| format!("the state cannot be written: {error}"))
}

/// The state that [`to_bytes`] wrote.
///
/// # Errors
/// Where the bytes are no such state, or more than one.
pub fn from_bytes<S: DeserializeOwned>(bytes: &[u8]) -> Result<S, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        Ok((_, rest)) => Err(format!("{} bytes follow the state", rest.len())),
        Err(error) => Err(format!("the state cannot be read: {error}")),
    }
}
