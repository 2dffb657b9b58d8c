//! What was acknowledged last, and is lost from the end of a file, does not pass for torn.

use std::fs;
use std::path::Path;

use domicile_store::{ManifestProblem, StoreError};

use crate::fixture::{NATIONS, Region};
use crate::recovery::{edit, manifest, records};

const LOG: &str = "wal/0000000001.wal";

/// Changes a store whose rows are in the log, and expects that it takes nothing more and names the place.
#[track_caller]
fn check_log(change: impl FnOnce(&Path), readable: &[&str], expect: &str) {
    let mut region = Region::filled().reopen(change).unwrap();
    let problem = region.store.health().problem().unwrap().to_string();
    assert!(problem.contains(expect), "{problem}");
    let snapshot = region.store.reader().snapshot();
    for dataset in ["customer", "orders", "lineitem"] {
        assert_eq!(
            snapshot.partitions(&crate::fixture::name(dataset)).is_ok(),
            readable.contains(&dataset),
            "{dataset}"
        );
    }
    assert!(region.load("nation", NATIONS).is_err());
}

#[test]
fn the_last_record() {
    let flip = |at: usize| {
        move |dir: &Path| {
            edit(&dir.join(LOG), |bytes| {
                let last = records(bytes)[2];
                bytes[last + at] ^= 1;
            });
        }
    };
    check_log(flip(200), &["customer", "orders"], "0000000001.wal cannot be read at offset");
    check_log(flip(20), &[], "0000000001.wal cannot be read at offset");
}

#[test]
fn a_file_that_became_shorter() {
    let cut = |dir: &Path| {
        edit(&dir.join(LOG), |bytes| {
            let last = records(bytes)[2];
            bytes.truncate(last);
        });
    };
    check_log(cut, &[], "0000000001.wal cannot be read at offset");
}

#[test]
fn the_only_log_file() {
    check_log(|dir| fs::remove_file(dir.join(LOG)).unwrap(), &[], "it is missing");
    let mut region = Region::filled();
    region.flush();
    region.load("nation", NATIONS).unwrap();
    let region = region.reopen(|dir| fs::remove_file(dir.join("wal/0000000002.wal")).unwrap()).unwrap();
    assert!(region.store.health().problem().unwrap().to_string().contains("0000000002.wal"));
}

#[test]
fn the_only_log_file_though_nothing_is_noted() {
    let mut region = Region::filled();
    region.flush();
    let gone = |dir: &Path| {
        fs::remove_file(dir.join("wal/0000000002.wal")).unwrap();
        fs::remove_file(dir.join("SYNCED")).unwrap();
    };
    let region = region.reopen(gone).unwrap();
    assert!(region.store.health().problem().unwrap().to_string().contains("0000000002.wal"));
    // It is not forgotten because the store was opened.
    let region = region.reopen(|_| {}).unwrap();
    assert!(region.store.health().problem().unwrap().to_string().contains("0000000002.wal"));
}

#[test]
fn the_last_edit_of_the_manifest() {
    let mut region = Region::filled();
    region.flush();
    let length = fs::metadata(manifest(&region.dir())).unwrap().len() as usize;
    let error = region.reopen(|dir| edit(&manifest(dir), |bytes| bytes[length - 10] ^= 1)).unwrap_err();
    assert!(
        matches!(error, StoreError::Manifest { problem: ManifestProblem::Checksum { offset }, .. } if offset < length as u64),
        "{error}"
    );
}

#[test]
fn a_note_that_is_damaged_tells_of_nothing() {
    for at in [0, 10, 40] {
        let spoil = |dir: &Path| edit(&dir.join("SYNCED"), |bytes| bytes[at] ^= 1);
        let mut region = Region::filled().reopen(spoil).unwrap();
        assert_eq!(region.rows("orders").len(), 3);
        region.load("nation", NATIONS).unwrap();
    }
}
