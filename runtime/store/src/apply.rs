//! Entries that were written elsewhere, on their way to count here.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Field, UInt64Type};
use domicile_types::{DatasetName, Mark};

use crate::chunk::{self, Checked};
use crate::logs::{Entry, Place, writer};
use crate::lookup::{self, Sources};
use crate::prepare::{About, Content};
use crate::rows::columns_of;
use crate::version::SEQ_COLUMN;
use crate::wal::record::logged_schema;
use crate::wal::{Body, Description};
use crate::{EntryProblem, Prepared, Preparer, Store, StoreError};

/// An entry that was written elsewhere, read and found to fit here.
#[derive(Debug)]
pub struct Opened {
    entry: Entry,
    pub(crate) description: Description,
    /// The dataset.
    pub dataset: DatasetName,
    pub(crate) rows: Checked,
    /// Whether the rows have columns that the entry lacks, so that the log is to have them, too.
    is_widened: bool,
}

/// Rows of an entry that are here already, in versions of which some were written without knowing of the entry.
#[derive(Debug)]
pub struct Collisions {
    /// Positions of the rows among the entry's.
    pub rows: UInt32Array,
    /// The versions that count here, one each, as they were logged.
    pub stored: RecordBatch,
    /// Where each of them comes from; none where that entry is not kept any more, and so was known to the writer.
    pub marks: Vec<Option<Arc<Mark>>>,
    /// The version of the store that this is true of.
    pub version: u64,
}

/// What becomes of the rows of an entry.
#[derive(Debug)]
pub enum Verdict {
    /// They count as they are, provided that the entry follows everything of its dataset that counts.
    Unmet,
    /// They count as they are, since none of them collided at a version of the store.
    Apart {
        /// The version.
        version: u64,
    },
    /// Other rows count instead, for collisions at a version of the store.
    Resolved {
        /// The version.
        version: u64,
        /// The rows, as the entry's would be.
        instead: RecordBatch,
    },
}

impl Opened {
    /// Which entry.
    #[must_use]
    pub fn mark(&self) -> &Arc<Mark> {
        &self.entry.mark
    }

    /// Its rows as they were logged: the declared columns, the hidden ones that travel, and what each row is.
    #[must_use]
    pub fn rows(&self) -> &RecordBatch {
        &self.rows.rows
    }
}

impl Preparer {
    /// Reads an entry that came from another region. Where the dataset has got columns since that may be missing, they are
    /// missing in its rows.
    ///
    /// # Errors
    /// Where the bytes are no rows, or not of the dataset as it is described here, or do not say what they change where
    /// they have to.
    pub fn open(&self, entry: Entry) -> Result<Opened, StoreError> {
        let (description, dataset, rows) = entry.open()?;
        let described = self.reader.catalog.entry(&dataset)?;
        let unfit = |dataset, problem| StoreError::Entry { dot: entry.mark.dot.clone(), dataset, problem };
        let schema = logged_schema(&described.stored);
        let is_widened = rows.num_rows() > 0 && *rows.schema_ref() != schema;
        let rows = described.widened(rows, &schema);
        let Some(rows) = rows.filter(|_| self.sets.get(&dataset) == Some(&entry.mark.set)) else {
            return Err(unfit(dataset, EntryProblem::Columns));
        };
        description.rule.check(described, &self.region)?;
        if described.noting.as_ref().is_some_and(|noting| !noting.are_noted(&entry.mark, &rows)) {
            return Err(unfit(dataset, EntryProblem::Notes));
        }
        let rows = chunk::divided_again(&described.spec.dataset, rows)?;
        Ok(Opened { entry, description, dataset, rows, is_widened })
    }

    /// An entry to be committed.
    ///
    /// # Errors
    /// Where the rows cannot be encoded.
    pub fn prepare_entry(&self, opened: Opened, verdict: Verdict) -> Result<Prepared, StoreError> {
        let Opened { entry, description, dataset, rows, is_widened } = opened;
        let described = self.reader.catalog.entry(&dataset)?;
        let checked_at = match &verdict {
            Verdict::Unmet => None,
            Verdict::Apart { version } | Verdict::Resolved { version, .. } => Some(*version),
        };
        let (count, values) = (entry.rows() as u64, BTreeSet::new());
        let about = About { dataset, rows: count, values, idempotency: None, checked_at, change: None };
        let blind = checked_at.is_none() && !described.primary_key().is_empty();
        let content = match verdict {
            Verdict::Unmet | Verdict::Apart { .. } => {
                let description = Description { idempotency: None, ..description };
                let instead = is_widened.then(|| Body::encode(&description, &rows.rows)).transpose()?;
                Content::Carried { entry, rows, instead, blind }
            }
            Verdict::Resolved { instead, .. } => {
                let description = Description { idempotency: None, ..description };
                // Logged as they will be read back: divided and sorted.
                let rows = chunk::divide(&described.spec.dataset, &instead)?;
                let body = Body::encode(&description, &rows.rows)?;
                Content::Carried { entry, rows, instead: Some(body), blind }
            }
        };
        Ok(Prepared { about, content, _lease: self.lease.clone() })
    }
}

impl Store {
    /// The rows of an entry that are here already; none where the entry follows everything of its dataset that counts.
    ///
    /// # Errors
    /// Where stored rows cannot be read.
    pub fn collisions(&self, opened: &Opened) -> Result<Option<Collisions>, StoreError> {
        let described = self.reader.catalog.entry(&opened.dataset)?;
        let (key, logged) = (described.primary_key(), logged_schema(&described.stored));
        if key.is_empty() || self.logs.concurrent(opened.mark(), &opened.dataset).next().is_none() {
            return Ok(None);
        }
        let snapshot = self.reader.snapshot();
        let version = snapshot.version;
        let wanted: Vec<&str> = [SEQ_COLUMN].into_iter().chain(logged.fields().iter().map(name)).collect();
        let partitions = snapshot.partitions(&opened.dataset)?;
        let sources = Sources { entry: described, partitions: &partitions, written: &[] };
        let found = lookup::versions(&sources, &columns_of(opened.rows(), key)?, key, &wanted)?;
        let Some(stored) = found.rows else {
            let stored = RecordBatch::new_empty(logged);
            return Ok(Some(Collisions {
                rows: UInt32Array::from(Vec::<u32>::new()),
                stored,
                marks: Vec::new(),
                version,
            }));
        };
        let kept: Vec<&Place> = self.logs.kept(&opened.mark().set, &opened.dataset).collect();
        let seqs = stored.column(0).as_primitive::<UInt64Type>();
        let (mut rows, mut versions, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for (row, at) in (0..).zip(found.at) {
            let Some(at) = at else { continue };
            rows.push(row);
            versions.push(at);
            marks.push(writer(&kept, seqs.value(at as usize)).map(|place| Arc::clone(&place.mark)));
        }
        let columns: Vec<usize> = (1..stored.num_columns()).collect();
        let stored = take_record_batch(&stored.project(&columns)?, &UInt32Array::from(versions))?;
        let stored = RecordBatch::try_new(logged, stored.columns().to_vec())?;
        Ok(Some(Collisions { rows: UInt32Array::from(rows), stored, marks, version }))
    }
}

fn name(field: &Arc<Field>) -> &str {
    field.name()
}
