//! The home check of a dataset whose rows live where the rows they refer to live.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

use crate::catalog::{ENTITY_COLUMN, Entry};
use crate::lookup::{self, Sources};
use crate::refusals::{RefusalReason, Refusals};
use crate::{Partition, StoreError};

/// The dataset referred to.
pub(crate) struct Parent<'a> {
    /// With a primary key of one column.
    pub(crate) entry: &'a Entry,
    pub(crate) partitions: &'a [Arc<Partition>],
    pub(crate) entity: &'a DataType,
}

/// The entity of each row of a chunk, as its parent has it. Rows without a parent here are refused, and have none.
pub(crate) fn entities(
    column: &str,
    references: &ArrayRef,
    parent: &Parent<'_>,
    refusals: &mut Refusals,
) -> Result<ArrayRef, StoreError> {
    let sources = Sources { entry: parent.entry, partitions: parent.partitions, written: &[] };
    let found =
        lookup::newest(&sources, std::slice::from_ref(references), parent.entry.primary_key(), &[ENTITY_COLUMN])?;
    for (row, _) in found.at.iter().enumerate().filter(|(_, at)| at.is_none()) {
        let reason = RefusalReason::NoParent { dataset: parent.entry.spec.dataset.name.clone() };
        refusals.refuse(row, column, || array_value_to_string(references, row).ok(), reason);
    }
    match found.rows {
        None => Ok(new_null_array(parent.entity, references.len())),
        Some(rows) => Ok(take(rows.column(0), &UInt32Array::from(found.at), None)?),
    }
}
