//! What components were compiled to, and the directory that keeps it across restarts.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use domicile_types::Digest;
use domicile_types::limits::{PLUGIN_ARTEFACT_BYTES_MAX, PLUGIN_ARTEFACTS_BYTES_MAX};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

/// Says what is authenticated, and how: another layout needs another text.
const DOMAIN: &[u8] = b"domicile compiled plugin 1\0";
const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
/// How the names of complete files end, and of those that are being written.
const COMPLETE: &str = "compiled";
const PARTIAL: &str = "partial";

/// Machine code of a component. It is made from what the process that compiles answered, or from a file that was made
/// from one.
pub(crate) struct Artefact(Vec<u8>);

impl Artefact {
    /// What the process that compiles wrote; nothing else may come in here.
    pub(crate) fn of_compiler(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What an artefact is good for.
pub(crate) struct Purpose {
    /// A digest of what the engine says that code depends on: its version, its settings, this processor.
    engine: [u8; 32],
    component: Digest,
    pure: bool,
}

impl Purpose {
    pub(crate) fn new(engine: &Engine, component: Digest, pure: bool) -> Self {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { engine: hasher.0.finalize().into(), component, pure }
    }
}

/// Takes in what is hashed whole, where [`Hasher::finish`] keeps 64 bits of it.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        digest.first_chunk().map_or(0, |start| u64::from_le_bytes(*start))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// A directory of its own where what components were compiled to is kept, so that each is compiled once a node and
/// engine.
///
/// What lies in the directory is run as it is, so it has to be trusted as much as the program: nobody else may write to
/// it. Each file is authenticated under a key that lies beside it and belongs to this directory alone. That keeps files
/// that are torn or damaged, that are of another component, engine or node, from being run; it is no defence against
/// someone who can read the key. A file that cannot be used is made again, and what goes wrong here is told as a warning,
/// never as an error: the component is compiled then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtefactCache {
    /// The directory. It is made where it is missing, for its owner only.
    pub dir: PathBuf,
    /// Bytes of all files together. What was written first is removed first.
    pub bytes_max: u64,
}

impl ArtefactCache {
    /// The cache in this directory, of at most [`PLUGIN_ARTEFACTS_BYTES_MAX`] bytes.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, bytes_max: PLUGIN_ARTEFACTS_BYTES_MAX }
    }

    /// What was kept for this purpose, if it is whole and was kept here.
    pub(crate) fn get(&self, purpose: &Purpose) -> Option<Artefact> {
        let path = self.path(purpose);
        match self.read(&path, purpose) {
            Ok(artefact) => artefact,
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "a compiled plugin that was kept cannot be used; it is compiled again");
                None
            }
        }
    }

    fn read(&self, path: &Path, purpose: &Purpose) -> io::Result<Option<Artefact>> {
        let most = PLUGIN_ARTEFACT_BYTES_MAX + TAG_BYTES as u64;
        let Some(mut bytes) = read(path, most)? else { return Ok(None) };
        let unfit = || io::Error::other("it is damaged, or was made by another build or node");
        let (artefact, tag) = bytes.split_last_chunk::<TAG_BYTES>().ok_or_else(unfit)?;
        let key = self.key()?.ok_or_else(unfit)?;
        mac(&key, purpose, artefact)?.verify_slice(tag).map_err(|_| unfit())?;
        bytes.truncate(bytes.len() - TAG_BYTES);
        Ok(Some(Artefact(bytes)))
    }

    /// Keeps an artefact, in the place of an earlier one of the component.
    pub(crate) fn put(&self, purpose: &Purpose, artefact: &Artefact) {
        if let Err(error) = self.write(purpose, artefact) {
            let dir = self.dir.display();
            tracing::warn!(%dir, %error, "a compiled plugin cannot be kept; the next start compiles it again");
        }
    }

    fn write(&self, purpose: &Purpose, artefact: &Artefact) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let key = match self.key()? {
            Some(key) => key,
            None => self.new_key()?,
        };
        let tag = mac(&key, purpose, artefact.bytes())?.finalize().into_bytes();
        let path = self.path(purpose);
        self.make_room(&path, artefact.bytes().len() as u64 + TAG_BYTES as u64)?;
        publish(&path, &[artefact.bytes(), &tag])
    }

    /// Removes what was written first until `bytes` more fit, where `path` is replaced.
    fn make_room(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let left = self.bytes_max.checked_sub(bytes);
        let left = left.ok_or_else(|| io::Error::other("it alone has more bytes than all may have"))?;
        let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let other = entry?.path();
            let ours = other.extension().is_some_and(|kind| kind == COMPLETE || kind == PARTIAL);
            if ours && other != path {
                let metadata = fs::symlink_metadata(&other)?;
                files.push((metadata.modified()?, other, metadata.len()));
            }
        }
        files.sort();
        let mut used: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, bytes) in files {
            if used <= left {
                break;
            }
            fs::remove_file(path)?;
            used -= bytes;
        }
        Ok(())
    }

    /// The directory's key, if it has one.
    fn key(&self) -> io::Result<Option<[u8; KEY_BYTES]>> {
        let bytes = read(&self.dir.join(KEY_FILE), KEY_BYTES as u64)?;
        // One of another length is damaged: a new one takes its place, and what it authenticated is made again.
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
    }

    fn new_key(&self) -> io::Result<[u8; KEY_BYTES]> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        publish(&self.dir.join(KEY_FILE), &[&key])?;
        Ok(key)
    }

    fn path(&self, purpose: &Purpose) -> PathBuf {
        self.dir.join(format!("{}.{COMPLETE}", purpose.component))
    }
}

/// The code that authenticates an artefact, and all that it is good for. All parts but the last are of one length.
fn mac(key: &[u8; KEY_BYTES], purpose: &Purpose, artefact: &[u8]) -> io::Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(io::Error::other)?;
    for part in [DOMAIN, &purpose.engine, &purpose.component.0, &[u8::from(purpose.pure)], artefact] {
        mac.update(part);
    }
    Ok(mac)
}

/// The file's bytes, up to one more than `most`; none where there is no file.
fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a file that only its owner may read; whoever looks sees all of it, or what was there before.
fn publish(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = path.with_extension(PARTIAL);
    let written = write(&temporary, parts).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Where this fails too, it is removed for a later file's sake.
        drop(fs::remove_file(&temporary));
    }
    written
}

fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    // Without this, a key may be nothing but zeros after the power failed.
    file.sync_all()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::SandboxLimits;
    use crate::runtime::config;

    /// No public face has engines that differ in anything else than what a component's world asks for.
    #[test]
    fn an_artefact_counts_for_its_own_purpose_only() {
        let dir = tempfile::TempDir::new().unwrap();
        let cache = ArtefactCache::new(dir.path().to_owned());
        let engine = |pure| Engine::new(&config(&SandboxLimits::default(), pure)).unwrap();
        let (plain, component) = (engine(false), Digest([1; 32]));
        cache.put(&Purpose::new(&plain, component, false), &Artefact::of_compiler(vec![2; 99]));
        let kept = |engine: &Engine, pure| cache.get(&Purpose::new(engine, component, pure)).map(|kept| kept.0);
        assert_eq!(kept(&engine(false), false), Some(vec![2; 99]));
        assert_eq!(kept(&plain, true), None);
        assert_eq!(kept(&engine(true), false), None);
    }
}
