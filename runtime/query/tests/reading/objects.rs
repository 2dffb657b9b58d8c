//! Whole files by name: in a directory, in memory, and over the protocol of S3.

use std::io::ErrorKind;
use std::sync::Arc;

use domicile_query::{ObjectFiles, ObjectThreads};
use domicile_store::{Disk, DiskFile, LocalDisk, Objects};
use object_store::memory::InMemory;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::s3;

/// More than fits one request.
const LARGE_BYTES: usize = 20 * 1024 * 1024 + 7;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn threads() -> ObjectThreads {
    ObjectThreads::start().unwrap()
}

fn file(dir: &TempDir, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = LocalDisk.create(&dir.path().join("source")).unwrap();
    file.write_at(0, bytes).unwrap();
    file
}

fn check(objects: &dyn Objects) {
    let dir = TempDir::new().unwrap();
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| (at / 3 + at / 1000) as u8).collect();
    objects.put("segments/a.parquet", file(&dir, b"first").as_ref()).unwrap();
    objects.put("segments/a.parquet", file(&dir, b"the second").as_ref()).unwrap();
    objects.put("segments/large", file(&dir, &large).as_ref()).unwrap();
    objects.put("empty", file(&dir, b"").as_ref()).unwrap();
    assert_eq!(objects.size("segments/a.parquet").unwrap(), 10);
    assert_eq!(objects.size("segments/large").unwrap(), LARGE_BYTES as u64);
    assert_eq!(objects.size("empty").unwrap(), 0);
    assert_eq!(objects.read_at("segments/a.parquet", 4, 6).unwrap(), "second");
    assert_eq!(objects.read_at("segments/a.parquet", 10, 0).unwrap(), "");
    let middle = LARGE_BYTES / 2;
    assert_eq!(objects.read_at("segments/large", middle as u64, 999).unwrap(), large[middle..middle + 999]);
    assert_eq!(objects.read_at("segments/large", 0, LARGE_BYTES).unwrap(), large);
    assert!(objects.read_at("segments/a.parquet", 5, 6).is_err(), "past the end");

    let list = |prefix: &str| {
        let mut names = objects.list(prefix).unwrap();
        names.sort();
        names.join(" ")
    };
    assert_eq!(list(""), "empty segments/a.parquet segments/large");
    assert_eq!(list("segments/"), "segments/a.parquet segments/large");
    assert_eq!(list("segments/l"), "segments/large");
    assert_eq!(list("seg"), "segments/a.parquet segments/large");
    assert_eq!(list("nowhere/"), "");

    let missing = objects.size("segments/b.parquet").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.to_string().contains("segments/b.parquet"), "{missing}");
    assert_eq!(objects.read_at("nothing", 0, 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(objects.size("../secret").unwrap_err().kind(), ErrorKind::InvalidInput);
    objects.remove("segments/large").unwrap();
    objects.remove("segments/large").unwrap();
    assert_eq!(list(""), "empty segments/a.parquet");
}

#[test]
fn a_directory() {
    let dir = TempDir::new().unwrap();
    let url = format!("file://{}/cold%20storage", dir.path().display());
    let objects = ObjectFiles::open(&url, [], threads()).unwrap();
    check(&objects);
    let kept = std::fs::read(dir.path().join("cold storage/segments/a.parquet")).unwrap();
    assert_eq!(kept, b"the second");
    let again = ObjectFiles::open(&url, [], threads()).unwrap();
    assert_eq!(again.size("segments/a.parquet").unwrap(), 10);
}

#[test]
fn a_directory_is_made_by_what_is_put_into_it() {
    let dir = TempDir::new().unwrap();
    let url = format!("file://{}/new/er", dir.path().display());
    let objects = ObjectFiles::open(&url, [], threads()).unwrap();
    assert_eq!(objects.list("backups/").unwrap(), [""; 0]);
    assert_eq!(objects.size("a").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!dir.path().join("new").exists());
    assert_eq!(objects.address("segments/a"), format!("{url}/segments/a"));
    objects.put("segments/a", file(&dir, b"here").as_ref()).unwrap();
    assert_eq!(objects.list("").unwrap(), ["segments/a"]);
    let other = ObjectFiles::open(&format!("file://{}/other", dir.path().display()), [], threads());
    other.unwrap().create().unwrap();
    assert!(dir.path().join("other").is_dir());
}

#[test]
fn memory_behind_a_prefix() {
    let (memory, threads) = (Arc::new(InMemory::new()), threads());
    let store = Arc::clone(&memory) as Arc<dyn object_store::ObjectStore>;
    let over = |prefix: &str| ObjectFiles::over(Arc::clone(&store), "memory", prefix.into(), threads.clone());
    check(&over("region/cold"));
    assert_eq!(over("region").list("cold/e").unwrap(), ["cold/empty"]);
    assert_eq!(over("reg").list("").unwrap(), [""; 0]);
}

#[test]
fn s3() {
    let runtime = runtime();
    let (endpoint, seen) = s3::serve(&runtime);
    let objects = ObjectFiles::open("s3://cold/region/1", s3::variables(&endpoint, "key"), threads());
    check(&objects.unwrap());
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|request| request.starts_with("PUT /cold/region/1/segments/a.parquet")), "{seen:?}");
    assert_eq!(seen.iter().filter(|request| request.contains("partNumber=")).count(), 3, "{seen:?}");
}

#[test]
fn s3_with_wrong_credentials_says_so() {
    let runtime = runtime();
    let (endpoint, _) = s3::serve(&runtime);
    let objects = ObjectFiles::open("s3://cold", s3::variables(&endpoint, "wrong"), threads()).unwrap();
    let error = objects.read_at("x", 0, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
}

#[test]
fn other_urls_are_refused() {
    let unlike = ["file:///tmp/a/.. ", "s3://cold/a/..\t", "file:///tmp/a/%2e%2E", "file:///tmp/a b", "S3://cold"];
    for url in ["", "cold", "http://example.com/x", "s3://", "file://host/x"].into_iter().chain(unlike) {
        let error = ObjectFiles::open(url, [], threads()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}: {error}");
    }
}

/// Reads come from threads of a runtime, whose tasks must not be able to bring it down by waiting.
#[test]
fn waiting_on_a_runtime_thread_does_not_panic() {
    let (dir, other) = (TempDir::new().unwrap(), runtime());
    let url = format!("file://{}", dir.path().display());
    let objects = ObjectFiles::open(&url, [], threads()).unwrap();
    let kind = other.block_on(async move { objects.size("x").unwrap_err().kind() });
    assert_eq!(kind, ErrorKind::NotFound);
}
