//! `domicile plugin key`: the key that plugins are signed with.

use std::path::Path;

use ed25519_dalek::SigningKey;
use serde_json::json;

use crate::args::KeyVerb;
use crate::output::{Failure, Output, say};
use crate::signing_key;

pub(super) fn run(output: Output, verb: &KeyVerb) -> Result<(), Failure> {
    let KeyVerb::New { file } = verb;
    let public = signing_key::create(file, "no plugin has to be signed with it")?;
    let shown = file.display().to_string();
    output.show(&json!({"file": shown, "public_key": public}), || {
        say!("{shown}: a new key, for you alone; sign plugins with `domicile plugin deploy --key {shown}`");
        say!("Every region that is to trust it needs this in its file, and a restart; the same under [policies] for");
        say!("policies, which `domicile policy sign` signs:");
        say!("[plugins]");
        say!("trusted_keys = [\"{public}\"]");
    });
    Ok(())
}

/// Reads a private key.
///
/// # Errors
/// As for [`signing_key::read`].
pub(crate) fn read(file: &Path) -> Result<SigningKey, Failure> {
    signing_key::read(file, "domicile plugin key new")
}
