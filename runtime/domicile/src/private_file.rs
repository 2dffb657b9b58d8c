//! Files that only their owner may read.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::output::Failure;

/// Makes a file with this content, and the folders above it. `unused` says when one that is there may be removed.
///
/// # Errors
/// Where there is a file already, which is left as it is, or the system refuses.
pub(crate) fn create(file: &Path, content: &[u8], unused: &str) -> Result<(), Failure> {
    let shown = file.display();
    let failed = |e: std::io::Error| Failure::usage(format!("{shown}: {e}"));
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut created = created.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!(
            "{shown} is there already and was left as it is; name another file, or remove this one if {unused} any more"
        )),
        _ => failed(e),
    })?;
    created.write_all(content).and_then(|()| created.sync_all()).map_err(failed)
}
