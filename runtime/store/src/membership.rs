//! Entries without rows that change the members of a set, and entries that are written once more.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use domicile_types::{Change, Dot, SetName};

use crate::chunk::Checked;
use crate::logs::Entry;
use crate::manifest::Rule;
use crate::prepare::{About, Content};
use crate::wal::record::logged_schema;
use crate::wal::{Body, Description, Idempotency};
use crate::{Prepared, Preparer, StoreError, hash};

impl Preparer {
    /// An entry without rows that changes the members of a set; none where no dataset here is in the set.
    ///
    /// # Errors
    /// Where it cannot be encoded.
    pub fn change(&self, set: &SetName, change: Change) -> Result<Option<Prepared>, StoreError> {
        let Some((dataset, _)) = self.sets.iter().find(|(_, of)| *of == set) else { return Ok(None) };
        let entry = self.reader.catalog.entry(dataset)?;
        let rows = RecordBatch::new_empty(logged_schema(&entry.stored));
        let rule = Rule::of(entry, []);
        let description = Description { dataset: dataset.to_string(), rows: 0, idempotency: None, rule };
        let body = Body::encode(&description, &rows)?;
        let about = About {
            dataset: dataset.clone(),
            rows: 0,
            values: BTreeSet::new(),
            idempotency: None,
            checked_at: None,
            change: Some(change),
        };
        let content = Content::Logged { body, rows: Checked { rows, parts: Vec::new() } };
        Ok(Some(Prepared { about, content, _lease: self.lease.clone() }))
    }

    /// The rows of an entry, to be written here as new ones. Written once more, they are known again.
    ///
    /// # Errors
    /// Where they do not fit the dataset as it is described here.
    pub fn prepare_again(&self, entry: Entry) -> Result<Prepared, StoreError> {
        let idempotency = Some(again(&entry.mark.dot));
        let opened = self.open(entry)?;
        let description = Description { idempotency: idempotency.clone(), ..opened.description };
        let (dataset, rows, values) = (opened.dataset, description.rows, BTreeSet::new());
        let about = About { dataset, rows, values, idempotency, checked_at: None, change: None };
        let is_noted = self.reader.catalog.entry(&about.dataset)?.noting.is_some();
        let content = match is_noted {
            // What they change is another thing by now.
            true => Content::Unnoted { description, rows: opened.rows },
            false => Content::Logged { body: Body::encode(&description, &opened.rows.rows)?, rows: opened.rows },
        };
        Ok(Prepared { about, content, _lease: self.lease.clone() })
    }
}

/// How an entry that is written once more is known.
fn again(dot: &Dot) -> Idempotency {
    let key = format!("again {dot}");
    Idempotency { sha256: hash::of_bytes(key.as_bytes()), key }
}
