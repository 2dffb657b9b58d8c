//! Asking another region for a snapshot of a replication set.
//!
//! The question is JSON. The answer is a head and what follows it, as [`encode_answer`](crate::log::encode_answer) puts
//! them together: the list of the snapshot's files, or bytes of one of them.

use serde::{Deserialize, Serialize};

use domicile_types::Numbers;

/// Path at which regions give each other snapshots.
pub const SNAPSHOT_PATH: &str = "/v1/peer/snapshot";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "ask")]
pub enum SnapshotBody {
    /// The list of files.
    List {
        /// The replication set.
        set: String,
        /// What the asking region has.
        have: Numbers,
        /// Of the logs among these that an entry gave out, region, epoch, and what their first entries follow at least.
        starts: Vec<(String, u32, Numbers)>,
        /// The epoch that it was given and has not begun to use.
        life: Option<u32>,
    },
    /// A part of a file.
    Part {
        /// The replication set.
        set: String,
        /// SHA-256 of the file, in hexadecimal digits.
        file: String,
        /// Where the part begins, in bytes.
        offset: u64,
    },
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotKind {
    /// The list follows.
    List,
    /// It has to be asked for again later.
    NotYet,
    /// Bytes of the file follow.
    Part,
    /// There is no such file any more; the list has to be asked for again.
    Gone,
    /// The asking region may not have the set.
    NotPermitted,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotHead {
    /// What it is.
    pub kind: SnapshotKind,
    /// The epoch that the asking region is given, where it is already.
    pub life: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_they_were_written_and_no_others() -> Result<(), serde_json::Error> {
        let have = vec![("eu-west".to_owned(), 0, 4)];
        let starts = vec![("eu-west".to_owned(), 7, have.clone())];
        let list = SnapshotBody::List { set: "catalog".to_owned(), have, starts, life: None };
        let part = SnapshotBody::Part { set: "catalog".to_owned(), file: "00".to_owned(), offset: 9 };
        for body in [list, part] {
            assert_eq!(serde_json::from_slice::<SnapshotBody>(&serde_json::to_vec(&body)?)?, body);
        }
        for text in ["{}", r#"{"ask": "all", "set": "catalog"}"#, r#"{"ask": "part", "set": "catalog", "file": "00"}"#]
        {
            assert!(serde_json::from_str::<SnapshotBody>(text).is_err(), "{text}");
        }
        Ok(())
    }
}
