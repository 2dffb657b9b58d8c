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
    /// Whether the entry had rows, whatever came of them here.
    pub(crate) has_rows: bool,
}

/// The entry that a row comes from, by the number that the row has here; none where it is not kept. `places` are in the
/// order in which they came to count.
pub(crate) fn writer<'p>(places: &[&'p Place], seq: u64) -> Option<&'p Place> {
    let behind = places.partition_point(|place| place.first_seq <= seq);
    let place = places[..behind].last()?;
    (seq < place.first_seq + place.rows).then_some(place)
}
