//! `domicile plugin key`: the key that plugins are signed with, as PKCS #8 in a PEM file, as other tools write it too.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domicile_wire::signature::public_key_text;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use serde_json::json;

use crate::args::KeyVerb;
use crate::output::{Failure, Output, say};
use crate::private_file;

/// Bits of a file's mode that let others than its owner in.
const GROUP_AND_OTHERS: u32 = 0o077;

pub(super) fn run(output: Output, verb: &KeyVerb) -> Result<(), Failure> {
    let KeyVerb::New { file } = verb;
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|e| Failure::usage(format!("no randomness: {e}")))?;
    let key = SigningKey::from_bytes(&seed);
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| Failure::usage(format!("no key could be written: {e}")))?;
    private_file::create(file, pem.as_bytes(), "no plugin has to be signed with it")?;
    let (shown, public) = (file.display().to_string(), public_key_text(&key.verifying_key()));
    output.show(&json!({"file": shown, "public_key": public}), || {
        say!("{shown}: a new key, for you alone; sign with `domicile plugin deploy --key {shown}`");
        say!("Every region that is to trust it needs this in its file, and a restart:");
        say!("[plugins]");
        say!("trusted_keys = [\"{public}\"]");
    });
    Ok(())
}

/// Reads a private key.
///
/// # Errors
/// Where the file cannot be read, others may read it too, or it is no ed25519 key.
pub(super) fn read(file: &Path) -> Result<SigningKey, Failure> {
    let shown = file.display();
    let failed = |e: std::io::Error| Failure::usage(format!("{shown}: {e}"));
    let mode = std::fs::metadata(file).map_err(failed)?.permissions().mode() & 0o777;
    if mode & GROUP_AND_OTHERS != 0 {
        let message = format!("{shown} is open to other users (mode {mode:03o}); run `chmod 600 {shown}`");
        return Err(Failure::usage(message));
    }
    let pem = std::fs::read_to_string(file).map_err(failed)?;
    SigningKey::from_pkcs8_pem(&pem).map_err(|e| {
        Failure::usage(format!("{shown} is not an ed25519 key in PEM ({e}); `domicile plugin key new FILE` makes one"))
    })
}
