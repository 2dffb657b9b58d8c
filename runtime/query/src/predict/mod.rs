//! How many bytes a fragment's result has at most, told without reading a row.
//!
//! The bound stands on the plan, on how many rows the region has of each dataset, and on what the policies and functions
//! say of the values that a group key can have. Bounds of columns are not used, although segments have them: one row
//! with a date of its own would change the prediction, and so be seen across the border. Nor are filters: with them, a
//! prediction would tell how many rows fulfil a condition.

mod domains;

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Aggregate, LogicalPlan};
use domicile_store::Snapshot;
use domicile_types::RegionId;

use crate::QueryError;
use crate::catalog::Catalog;
use crate::fragment::{Fragment, Shape};
use domains::Domains;

/// Bytes that a text is taken to have.
const TEXT_BYTES: u64 = 64;
/// Bytes of a result beside its values: schema, frame, ends.
const RESULT_BYTES: u64 = 512;
/// Bytes of a column beside its values: its name and type, and in each batch its place.
const COLUMN_BYTES: u64 = 128;
/// Rows of a batch, about.
const BATCH_ROWS: u64 = 8192;

/// What a region knows without reading rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) home: &'a RegionId,
}

/// A power of two that is no less than the bytes of the fragment's result, as long as texts have up to
/// [`TEXT_BYTES`] on average; none where a plugin decides how long its values are.
///
/// # Errors
/// Where the fragment is not one.
pub(crate) fn bound(fragment: &Fragment, known: Known<'_>) -> Result<Option<u64>, QueryError> {
    let mut domains = Domains::new(known);
    let (rows, kinds) = match &fragment.shape {
        Shape::Groups { input, group, aggregates, .. } => {
            let columns = domains.node(input)?;
            let groups = group
                .iter()
                .fold(1_u64, |groups, key| groups.saturating_mul(domains.values(key, input.schema(), &columns)));
            let groups = if group.is_empty() { 1 } else { groups.min(domains.rows()) };
            let result = Aggregate::try_new(input.clone().into(), group.clone(), aggregates.clone())?;
            (groups, kinds(&LogicalPlan::Aggregate(result)))
        }
        Shape::Rows(plan) => {
            domains.node(plan)?;
            (domains.rows(), kinds(plan))
        }
    };
    Ok(bytes(rows, &kinds).map(rounded))
}

/// The next power of two.
pub(crate) fn rounded(bytes: u64) -> u64 {
    bytes.checked_next_power_of_two().unwrap_or(1 << 63)
}

fn kinds(plan: &LogicalPlan) -> Vec<DataType> {
    plan.schema().fields().iter().map(|field| field.data_type().clone()).collect()
}

fn bytes(rows: u64, kinds: &[DataType]) -> Option<u64> {
    let widths = kinds.iter().map(width).collect::<Option<Vec<u64>>>()?;
    let width: u64 = widths.iter().sum();
    let batches = rows.div_ceil(BATCH_ROWS).max(1);
    let columns = COLUMN_BYTES.saturating_mul(kinds.len() as u64).saturating_mul(batches.saturating_add(1));
    Some(RESULT_BYTES.saturating_add(columns).saturating_add(rows.saturating_mul(width)))
}

/// Bytes of one value, with the bit that says whether there is one.
fn width(kind: &DataType) -> Option<u64> {
    match kind {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => None,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(TEXT_BYTES + 5),
        DataType::Boolean | DataType::Null => Some(1),
        kind => kind.primitive_width().map(|width| width as u64 + 1),
    }
}
