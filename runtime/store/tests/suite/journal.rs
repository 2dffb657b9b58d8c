//! The journal, and what is left of it after a crash.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use domicile_store::{Journal, Records, StoreError};
use domicile_types::limits;
use tempfile::TempDir;

fn journal(records: &[&str]) -> (TempDir, PathBuf) {
    let root = TempDir::new().unwrap();
    let path = root.path().join("ledger");
    let (mut journal, before) = Journal::open(&path).unwrap();
    assert!(before.is_empty());
    records.iter().for_each(|record| journal.append(record.as_bytes()).unwrap());
    (root, path)
}

/// Adds bytes behind two records, and expects what an open finds and what is in the file after one more append.
#[track_caller]
fn check(tail: &[u8], expect: &[&str], then: &str) {
    let (_root, path) = journal(&["{\"a\":1}", ""]);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(tail).unwrap();
    let (mut journal, records) = Journal::open(&path).unwrap();
    let records: Vec<_> = records.into_iter().map(|record| String::from_utf8(record).unwrap()).collect();
    assert_eq!(records, expect);
    journal.append(b"next").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), then);
}

#[test]
fn records_survive_and_a_torn_tail_does_not() {
    check(b"", &["{\"a\":1}", ""], "{\"a\":1}\n\nnext\n");
    check(b"{\"b\":", &["{\"a\":1}", ""], "{\"a\":1}\n\nnext\n");
    check(&[0; 5000], &["{\"a\":1}", ""], "{\"a\":1}\n\nnext\n");
    check(b"whole\nhal", &["{\"a\":1}", "", "whole"], "{\"a\":1}\n\nwhole\nnext\n");
}

#[test]
fn records_that_are_not_one_line_are_refused() {
    let (_root, path) = journal(&["a"]);
    let (mut journal, _) = Journal::open(&path).unwrap();
    assert!(matches!(journal.append(b"b\nc"), Err(StoreError::Record { actual: 3, .. })));
    let longest = vec![b'x'; limits::JOURNAL_RECORD_BYTES_MAX];
    assert!(matches!(journal.append(&[&longest[..], b"x"].concat()), Err(StoreError::Record { .. })));
    journal.append(&longest).unwrap();
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().1, [b"a".to_vec(), longest]);
}

#[test]
fn a_line_that_is_too_long_is_refused_not_cut_off() {
    let (_root, path) = journal(&["a"]);
    let long = [&vec![b'x'; limits::JOURNAL_RECORD_BYTES_MAX + 1][..], b"\n"].concat();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&long).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    assert!(matches!(Journal::open(&path), Err(StoreError::Record { .. })));
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
}

#[test]
fn one_writer_and_any_readers() {
    let (_root, path) = journal(&["a", "b"]);
    let (mut journal, _) = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(StoreError::Locked { path: locked }) if locked == path));
    journal.append(b"c").unwrap();
    let records: Vec<_> = Records::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(records, [b"a", b"b", b"c"]);
}

#[test]
fn other_records_take_the_place_of_all() {
    let (_root, path) = journal(&["a", "b", "c"]);
    let (mut journal, _) = Journal::open(&path).unwrap();
    assert_eq!(journal.bytes(), 6);
    let refused = StoreError::Poisoned { path: path.clone() };
    journal.replace([Ok(b"x".to_vec()), Err(refused)]).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\nc\n", "all or nothing");
    journal.replace(Records::open(&path).unwrap().skip(1)).unwrap();
    assert!(matches!(Journal::open(&path), Err(StoreError::Locked { .. })));
    journal.append(b"d").unwrap();
    assert_eq!((journal.bytes(), fs::metadata(&path).unwrap().len()), (6, 6));
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().1, [b"b", b"c", b"d"].map(|record| record.to_vec()));
}
