//! Where an entry lies, and which rows came of it.

use std::sync::Arc;

use domicile_types::{DatasetName, Hlc, Mark};

/// An entry in the write-ahead log.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) mark: Arc<Mark>,
    pub(crate) dataset: DatasetName,
    /// Number of the log file.
    pub(crate) file: u64,
    pub(crate) offset: u64,
    /// Bytes of the record.
    pub(crate) bytes: u64,
    /// When it came to count here.
    pub(crate) local_hlc: Hlc,
    /// The numbers that its rows have here: the first, and how many.
    pub(crate) first_seq: u64,
    pub(crate) rows: u64,
}

/// What the newest version of a row comes from, seen from an entry that is about to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The entry was written over it.
    Before,
    /// It was written without knowing of the entry, nor the entry of it.
    Concurrent(Arc<Mark>),
}

impl Standing {
    /// Of the row that has the number `seq` here; `concurrent` are the entries that the new one does not follow.
    pub(crate) fn of(seq: u64, concurrent: &[&Place]) -> Self {
        let has = |place: &&&Place| (place.first_seq..place.first_seq + place.rows).contains(&seq);
        match concurrent.iter().find(has) {
            Some(place) => Self::Concurrent(Arc::clone(&place.mark)),
            None => Self::Before,
        }
    }
}
