//! Keys that people sign with, as PKCS #8 in a PEM file, as other tools write it too.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domicile_wire::signature::public_key_text;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};

use crate::output::Failure;
use crate::private_file;

/// Bits of a file's mode that let others than its owner in.
const GROUP_AND_OTHERS: u32 = 0o077;

/// Writes a new private key to a file of its own, and returns its public half as region files write it. `unused` says
/// when a file that is there may be removed.
///
/// # Errors
/// Where there is a file already, or the system refuses.
pub(crate) fn create(file: &Path, unused: &str) -> Result<String, Failure> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|e| Failure::usage(format!("no randomness: {e}")))?;
    let key = SigningKey::from_bytes(&seed);
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| Failure::usage(format!("no key could be written: {e}")))?;
    private_file::create(file, pem.as_bytes(), unused)?;
    Ok(public_key_text(&key.verifying_key()))
}

/// Reads a private key; `made_by` is the command that makes one.
///
/// # Errors
/// Where the file cannot be read, others may read it too, or it is no ed25519 key.
pub(crate) fn read(file: &Path, made_by: &str) -> Result<SigningKey, Failure> {
    let shown = file.display();
    let failed = |e: std::io::Error| Failure::usage(format!("{shown}: {e}"));
    let mode = std::fs::metadata(file).map_err(failed)?.permissions().mode() & 0o777;
    if mode & GROUP_AND_OTHERS != 0 {
        let message = format!("{shown} is open to other users (mode {mode:03o}); run `chmod 600 {shown}`");
        return Err(Failure::usage(message));
    }
    let pem = std::fs::read_to_string(file).map_err(failed)?;
    SigningKey::from_pkcs8_pem(&pem)
        .map_err(|e| Failure::usage(format!("{shown} is not an ed25519 key in PEM ({e}); `{made_by} FILE` makes one")))
}
