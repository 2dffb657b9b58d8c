//! New files, most of which only their owner may read; none that is there is written over.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::output::Failure;

/// Makes a file with this content that only its owner may read, and the folders above it. `unused` says when one that
/// is there may be removed.
///
/// # Errors
/// Where there is a file already, which is left as it is, or the system refuses.
pub(crate) fn create(file: &Path, content: &[u8], unused: &str) -> Result<(), Failure> {
    create_with(file, content, 0o600, unused)
}

/// Makes a file that everybody may read, as [`create`] does.
///
/// # Errors
/// As there.
pub(crate) fn create_public(file: &Path, content: &[u8], unused: &str) -> Result<(), Failure> {
    create_with(file, content, 0o644, unused)
}

/// That a file is there already.
pub(crate) fn is_there(file: &Path, unused: &str) -> Failure {
    Failure::usage(format!(
        "{} is there already and was left as it is; name another file, or remove this one if {unused} any more",
        file.display()
    ))
}

fn create_with(file: &Path, content: &[u8], mode: u32, unused: &str) -> Result<(), Failure> {
    let shown = file.display();
    let failed = |e: std::io::Error| Failure::usage(format!("{shown}: {e}"));
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let mut created = created.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => is_there(file, unused),
        _ => failed(e),
    })?;
    created.write_all(content).and_then(|()| created.sync_all()).map_err(failed)
}
