//! Blobs, and the atomic write of a small file.

use std::fs;

use domicile_store::{Blobs, StoreError, write_atomic};
use domicile_types::Digest;
use tempfile::TempDir;

#[test]
fn what_was_put_is_got_after_a_reopen() {
    let root = TempDir::new().unwrap();
    let dir = root.path().join("plugins");
    let blobs = Blobs::open(&dir).unwrap();
    let digest = blobs.put(b"abc").unwrap();
    assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(blobs.put(b"abc").unwrap(), digest);
    fs::write(dir.join(format!("{digest}.7.tmp")), "half").unwrap();
    let blobs = Blobs::open(&dir).unwrap();
    assert_eq!(blobs.get(&digest).unwrap().as_deref(), Some(&b"abc"[..]));
    assert_eq!(blobs.get(&Digest([0; 32])).unwrap(), None);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn a_damaged_blob_is_refused_and_can_be_put_again() {
    let root = TempDir::new().unwrap();
    let blobs = Blobs::open(root.path()).unwrap();
    let digest = blobs.put(b"abc").unwrap();
    let file = root.path().join(digest.to_string());
    fs::write(&file, "abd").unwrap();
    assert!(matches!(blobs.get(&digest), Err(StoreError::Blob { path, actual }) if path == file && actual != digest));
    blobs.put(b"abc").unwrap();
    assert_eq!(blobs.get(&digest).unwrap().unwrap(), b"abc");
}

#[test]
fn an_atomic_write_replaces_the_content() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("plugins.json");
    write_atomic(&path, b"a longer first content").unwrap();
    write_atomic(&path, b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    assert!(matches!(write_atomic(&root.path().join("none/x"), b""), Err(StoreError::Io { .. })));
}
