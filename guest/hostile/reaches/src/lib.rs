//! Wants a file, which plugins are not given: the host has to refuse it at load.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    /// Reads a file.
    pub fn reaches(value: i64) -> Result<i64, String> {
        let secret = std::fs::read("/etc/passwd").map_err(|error| error.to_string())?;
        Ok(value + secret.len() as i64)
    }
}
