//! Wants a file, which plugins are not given: the host has to refuse it at load.

fn reaches(value: i64) -> Result<i64, String> {
    let secret = std::fs::read("/etc/passwd").map_err(|error| error.to_string())?;
    Ok(value + secret.len() as i64)
}

domicile_sdk::functions! {
    fn reaches(value: i64) -> Result<i64, String>;
}
