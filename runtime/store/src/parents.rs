//! The home check of a dataset whose rows live where the rows they refer to live.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use domicile_types::DatasetName;

use crate::StoreError;
use crate::catalog::ENTITY_COLUMN;
use crate::keys::SortedKeys;
use crate::refusals::{RefusalReason, Refusals};
use crate::segment::Segment;

/// The dataset referred to.
pub(crate) struct Parent<'a> {
    pub(crate) name: &'a DatasetName,
    pub(crate) key: &'a str,
    pub(crate) segments: &'a [Arc<Segment>],
    pub(crate) entity: &'a DataType,
}

/// The entity of each row of a chunk, as its parent has it. Rows without a parent here are refused, and have none.
pub(crate) fn entities(
    column: &str,
    references: &ArrayRef,
    parent: &Parent<'_>,
    refusals: &mut Refusals,
) -> Result<ArrayRef, StoreError> {
    let keys = SortedKeys::new(std::slice::from_ref(references))?;
    let mut found: Vec<ArrayRef> = Vec::new();
    let mut position: Vec<Option<u32>> = vec![None; references.len()];
    let mut next = 0;
    for segment in parent.segments {
        keys.join(segment, &[parent.key], Some(ENTITY_COLUMN), |batch, hits| {
            let rows = UInt32Array::from_iter_values(hits.iter().map(|hit| hit.batch_row));
            let entity = batch.column(batch.schema_ref().index_of(ENTITY_COLUMN)?);
            found.push(take(entity, &rows, None)?);
            for hit in hits {
                position[hit.chunk_row as usize] = Some(next);
                next += 1;
            }
            Ok(())
        })?;
    }
    for (row, _) in position.iter().enumerate().filter(|(_, position)| position.is_none()) {
        let reason = RefusalReason::NoParent { dataset: parent.name.clone() };
        refusals.refuse(row, column, || array_value_to_string(references, row).ok(), reason);
    }
    if found.is_empty() {
        return Ok(arrow::array::new_null_array(parent.entity, references.len()));
    }
    let found: Vec<&dyn Array> = found.iter().map(AsRef::as_ref).collect();
    Ok(take(&concat(&found)?, &UInt32Array::from(position), None)?)
}
