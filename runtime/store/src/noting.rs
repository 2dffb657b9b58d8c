//! What rows say of the changes that they make, for datasets whose conflicts are resolved by changes.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use domicile_types::{MERGE_COLUMN, Mark, limits};

use crate::draft::{Draft, Member};
use crate::lookup::{self, Sources};
use crate::rows::columns_of;
use crate::version::OP_COLUMN;
use crate::wal::{Body, Use};
use crate::{Store, StoreError, recent};

/// Says what writers change, in [`MERGE_COLUMN`].
pub trait Noting: fmt::Debug + Send + Sync {
    /// The column for rows that are written as the entry `mark`. `written` are the rows as they are logged. `before` has
    /// the rows that they replace, without deleted ones; `at` says for each written row which of them it replaces.
    ///
    /// What is replaced is what all entries that `mark` follows make of the rows.
    fn notes(
        &self,
        mark: &Mark,
        written: &RecordBatch,
        before: Option<&RecordBatch>,
        at: &[Option<u32>],
    ) -> StringArray;

    /// Whether the rows of an entry that comes from elsewhere say what they change, and name no entry that their writer
    /// cannot have known.
    fn are_noted(&self, mark: &Mark, rows: &RecordBatch) -> bool;
}

impl Store {
    /// Lets the rows of a batch say what they change, and makes the record that the log is to have. It has to be known
    /// by now what they replace: all that counts, and what is written before them.
    pub(crate) fn note_changes(
        &self,
        member: &mut Member,
        mark: Option<&Mark>,
        draft: &Draft,
    ) -> Result<(), StoreError> {
        let Some(description) = member.unnoted.take() else { return Ok(()) };
        let described = self.reader.catalog.entry(&member.about.dataset)?;
        let rows = &mut member.rows.rows;
        if let (Some(noting), Some(mark)) = (&described.noting, mark) {
            let key = described.primary_key();
            let partitions = draft.snapshot.partitions(&member.about.dataset)?;
            let sources = Sources { entry: described, partitions: &partitions, written: &[] };
            let schema = rows.schema();
            let names = schema.fields().iter().map(|field| field.name().as_str());
            let wanted: Vec<&str> = names.filter(|name| *name != OP_COLUMN).collect();
            let found = lookup::newest(&sources, &columns_of(rows, key)?, key, &wanted)?;
            let mut columns = rows.columns().to_vec();
            let notes: ArrayRef = Arc::new(noting.notes(mark, rows, found.rows.as_ref(), &found.at));
            columns[schema.index_of(MERGE_COLUMN)?] = notes;
            *rows = RecordBatch::try_new(schema, columns)?;
        }
        let (actual, max) = (recent::bytes(rows) as u64, limits::NOTED_ENTRY_BYTES_MAX as u64);
        if actual > max {
            let unit = "bytes once decoded, with what they say of their changes";
            return Err(StoreError::TooLarge { unit, actual, max });
        }
        member.records = vec![(Body::encode(&description, rows)?, Use::Rows)];
        Ok(())
    }
}
