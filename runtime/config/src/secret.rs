//! A region's secret: the care that its file needs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use domicile_types::Secret;

use crate::ConfigError;

/// Fewest bytes of a secret.
pub const SECRET_BYTES_MIN: usize = 32;

const SECRET_FILE_BYTES_MAX: u64 = 4096;

/// Reads the secret in `path`, without white space around it.
///
/// # Errors
/// Where the file cannot be read, other users may open it, or it holds fewer than [`SECRET_BYTES_MIN`] bytes.
pub fn read_secret(path: &Path) -> Result<Secret, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if let Some(mode) = exposed_mode(&file).map_err(unreadable)? {
        return Err(ConfigError::SecretExposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(SECRET_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    let secret = bytes.trim_ascii();
    if secret.len() < SECRET_BYTES_MIN {
        return Err(ConfigError::SecretShort { path: path.to_owned(), actual: secret.len(), min: SECRET_BYTES_MIN });
    }
    Ok(Secret::new(secret))
}

/// The permission bits of a file that others than its owner may open. Asks the open file, not the path, so that the
/// answer is about the bytes that are read.
#[cfg(unix)]
pub(crate) fn exposed_mode(file: &File) -> std::io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    const GROUP_AND_OTHERS: u32 = 0o077;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    Ok((mode & GROUP_AND_OTHERS != 0).then_some(mode))
}

#[cfg(not(unix))]
pub(crate) fn exposed_mode(_file: &File) -> std::io::Result<Option<u32>> {
    Ok(None)
}
