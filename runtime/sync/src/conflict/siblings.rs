//! Versions of one row of which none was written over another.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt8Array, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, UInt8Type};
use arrow::error::ArrowError;
use domicile_types::{Dot, Mark};

/// Hidden column, always the last one: whether a version is a row or says that there is none, as the store keeps it.
pub(super) const OP_COLUMN: &str = "_op";
pub(super) const OP_ROW: u8 = 0;
pub(crate) const OP_TOMBSTONE: u8 = 1;

/// Concurrent versions of one row, in the total order of their marks. There is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Siblings {
    rows: RecordBatch,
    marks: Vec<Mark>,
}

/// One row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    /// The batch; its last column is the operation.
    pub rows: &'a RecordBatch,
    /// Which of its rows.
    pub index: usize,
}

/// Why versions are not versions of one row.
#[derive(Debug, thiserror::Error)]
pub enum SiblingsError {
    /// No version.
    #[error("a row has no versions; pass at least one")]
    None,
    /// Rows and marks that do not belong together.
    #[error("{rows} versions have {marks} marks; pass one for each")]
    Marks {
        /// Versions found.
        rows: usize,
        /// Marks found.
        marks: usize,
    },
    /// Rows that do not say what they are.
    #[error("versions of a row need `{OP_COLUMN}` as their last column, of 0 for a row and 1 for a deleted one")]
    Operation,
    /// One entry of a log that says two things.
    #[error(
        "two versions of a row are both entry {dot}, and differ; fetch the entry again from the region that wrote it"
    )]
    Differ {
        /// The entry.
        dot: Dot,
    },
    /// Versions of different columns.
    #[error("versions of a row have different columns; bring them into one schema first")]
    Columns,
    /// Rows that Arrow cannot put together.
    #[error("cannot put the versions of a row together: {source}")]
    Arrow {
        /// What Arrow says.
        #[from]
        source: ArrowError,
    },
}

impl Siblings {
    /// The versions among `rows`, each with its mark, that no other one of them follows. What comes twice counts once.
    ///
    /// # Errors
    /// Where there is none, marks are missing, the last column is not the operation, or one entry says two things.
    pub fn new(rows: &RecordBatch, marks: &[Mark]) -> Result<Self, SiblingsError> {
        if rows.num_rows() != marks.len() {
            return Err(SiblingsError::Marks { rows: rows.num_rows(), marks: marks.len() });
        }
        operations(rows).filter(valid).ok_or(SiblingsError::Operation)?;
        let mut known = BTreeMap::<&Dot, usize>::new();
        for (index, mark) in marks.iter().enumerate() {
            let first = *known.entry(&mark.dot).or_insert(index);
            if first != index && (marks[first] != *mark || rows.slice(first, 1) != rows.slice(index, 1)) {
                return Err(SiblingsError::Differ { dot: mark.dot.clone() });
            }
        }
        let mut order: Vec<usize> = known.into_values().collect();
        order.sort_by_key(|index| marks[*index].order());
        // Only later ones are asked whether they follow, so that at least the last one stays, whatever the marks say.
        let followed = |place: usize, index: usize| {
            order[place + 1..].iter().any(|later| marks[*later].follows.contains(&marks[index].dot))
        };
        let kept: Vec<usize> = order
            .iter()
            .enumerate()
            .filter(|(place, index)| !followed(*place, **index))
            .map(|(_, index)| *index)
            .collect();
        if kept.is_empty() {
            return Err(SiblingsError::None);
        }
        let indices = UInt32Array::from_iter_values(kept.iter().filter_map(|index| u32::try_from(*index).ok()));
        let rows = take_record_batch(rows, &indices)?;
        Ok(Self { rows, marks: kept.into_iter().map(|index| marks[index].clone()).collect() })
    }

    /// What is left of these and further versions: those that no other one follows.
    ///
    /// # Errors
    /// As for [`Siblings::new`], and where the schemas differ.
    pub fn with(&self, rows: &RecordBatch, marks: &[Mark]) -> Result<Self, SiblingsError> {
        if rows.schema_ref().fields() != self.rows.schema_ref().fields() {
            return Err(SiblingsError::Columns);
        }
        let rows = concat_batches(self.rows.schema_ref(), [&self.rows, rows])?;
        Self::new(&rows, &[&self.marks, marks].concat())
    }

    /// The versions, the first written first.
    #[must_use]
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Their marks, in the same order.
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// How many versions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.marks.len()
    }

    /// The version at a place; `index` is below [`Siblings::count`].
    #[must_use]
    pub fn version(&self, index: usize) -> RowRef<'_> {
        RowRef { rows: &self.rows, index }
    }

    /// The place of the version that was written last.
    pub(super) fn last(&self) -> usize {
        self.marks.len() - 1
    }
}

impl<'a> RowRef<'a> {
    /// Whether it says that there is no row any more.
    #[must_use]
    pub fn is_tombstone(self) -> bool {
        operations(self.rows).is_some_and(|operations| operations.value(self.index) == OP_TOMBSTONE)
    }

    /// Its value in a column, as an array of one.
    pub(super) fn value(self, column: &str) -> Option<ArrayRef> {
        self.rows.column_by_name(column).map(|values| values.slice(self.index, 1))
    }

    /// Its text in a column of texts; none where it is missing.
    pub(super) fn text(self, column: &str) -> Option<&'a str> {
        let texts = self.rows.column_by_name(column)?.as_string_opt::<i32>()?;
        texts.is_valid(self.index).then(|| texts.value(self.index))
    }
}

fn operations(rows: &RecordBatch) -> Option<&UInt8Array> {
    let last = rows.num_columns().checked_sub(1)?;
    let field = rows.schema_ref().field(last);
    if field.name() != OP_COLUMN || *field.data_type() != DataType::UInt8 {
        return None;
    }
    rows.column(last).as_primitive_opt::<UInt8Type>()
}

fn valid(operations: &&UInt8Array) -> bool {
    operations.null_count() == 0 && operations.values().iter().all(|op| [OP_ROW, OP_TOMBSTONE].contains(op))
}
