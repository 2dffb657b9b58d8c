//! Parquet files that no writer makes: their footers are refused before anything is built from them.

use std::process::Command;

use domicile_store::{Format, StoreError};
use domicile_types::limits;

use crate::fixture::Region;

/// Holds the number of groups, in a process of the test's own.
const GROUPS: &str = "DOMICILE_TEST_GROUPS";

fn varint(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn file(footer: &[u8]) -> Vec<u8> {
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [b"PAR1", footer, &length, b"PAR1"].concat()
}

/// The start of a footer whose schema has so many nodes, the root being one that claims so many children.
fn start(nodes: u32, children: u32) -> Vec<u8> {
    let root = [b"\x48\x01s\x15".as_slice(), &varint(children * 2), b"\0"].concat();
    [b"\x15\x02\x19\xfc".as_slice(), &varint(nodes), &root].concat()
}

/// A column, and no rows or row groups.
const END: &[u8] = b"\x15\x02\x25\x00\x18\x01a\0\x16\x00\x19\x0c\x00";

/// A file whose schema is one column in so many groups, one inside the other.
fn nested(depth: u32) -> Vec<u8> {
    let group = b"\x35\x00\x18\x01a\x15\x02\0";
    file(&[start(depth + 2, 1), group.repeat(depth as usize), END.to_vec()].concat())
}

fn refusal(bytes: Vec<u8>) -> String {
    let error = Region::empty().load_as("nation", Format::Parquet, bytes).unwrap_err();
    assert!(matches!(error, StoreError::Malformed { .. } | StoreError::Header { .. }), "{error:?}");
    error.to_string()
}

/// Nothing that a file says ends the process that reads it. The stack is the smallest that a thread may have here.
#[test]
fn groups_that_are_nested_deeply_are_refused() {
    if let Ok(groups) = std::env::var(GROUPS) {
        let refusal = refusal(nested(groups.parse().unwrap()));
        assert!(
            ["nests deeper than 64 groups", "more than 16384 nodes", "more than 262144 parts"]
                .iter()
                .any(|reason| refusal.contains(reason)),
            "{refusal}"
        );
        return;
    }
    for groups in ["64", "10000", "50000", "1000000"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command =
            command.args(["--exact", "parquet_bytes::groups_that_are_nested_deeply_are_refused", "--nocapture"]);
        let output = command.env(GROUPS, groups).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{groups} groups: {}: {text}", output.status);
    }
}

#[test]
fn groups_that_are_nested_less_deeply_are_known_for_what_they_are() {
    let deepest = u32::try_from(limits::PARQUET_SCHEMA_DEPTH_MAX).unwrap() - 1;
    for groups in [1, deepest] {
        let refusal = refusal(nested(groups));
        assert!(refusal.contains("no column `a`"), "{refusal}");
    }
}

#[test]
fn counts_that_cannot_be_true_reserve_nothing() {
    let groups = |count: u32| file(&[start(2, 1).as_slice(), &END[..10], b"\x19\xfc", &varint(count)].concat());
    for (bytes, expect) in [
        (file(&[&start(2, 1 << 30), END].concat()), "claims more columns than there are"),
        (file(&[&start(u32::MAX, 1), END].concat()), "cut off"),
        (groups(i32::MAX as u32), "cut off"),
        (file(b""), "description is cut off"),
        (b"PAR1".to_vec(), "description is cut off"),
        (b"PAR1\xff\xff\xff\x7fPAR1".to_vec(), "its footer exceeds 16777216 bytes"),
        (b"PAR1\xff\0\0\0PAR1".to_vec(), "description is cut off"),
    ] {
        let refusal = refusal(bytes);
        assert!(refusal.contains(expect), "{refusal}: {expect}");
    }
}

/// The version is said to be text, and the text to be what Parquet's reader would go on with.
#[test]
fn fields_of_another_kind_hide_nothing() {
    let hidden = [start(100_002, 1), b"\x35\x00\x18\x01a\x15\x02\0".repeat(100_000)].concat();
    let length = varint(u32::try_from(hidden.len()).unwrap());
    let footer = [b"\x18".as_slice(), &length, &hidden, &start(2, 1)[2..], END].concat();
    let refusal = refusal(file(&footer));
    assert!(refusal.contains("not what a writer of this format makes"), "{refusal}");
}
