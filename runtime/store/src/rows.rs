//! Rows in the order of their key, one version a key.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};

use crate::StoreError;
use crate::version::VERSION_COLUMNS;

/// Which of several rows with one key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Newest {
    /// The last.
    Position,
    /// The one with the newest version.
    Version,
}

/// The named columns of a batch.
pub(crate) fn columns_of<N: AsRef<str>>(batch: &RecordBatch, names: &[N]) -> Result<Vec<ArrayRef>, StoreError> {
    let column = |name: &N| Ok(ArrayRef::clone(batch.column(batch.schema_ref().index_of(name.as_ref())?)));
    names.iter().map(column).collect()
}

/// The columns in a form that compares byte by byte, missing values first.
pub(crate) fn comparable(columns: &[ArrayRef]) -> Result<Rows, StoreError> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    Ok(RowConverter::new(fields)?.convert_columns(columns)?)
}

/// The positions of the rows that count, in the order of the key; none where all rows count as they lie.
pub(crate) fn order<N: AsRef<str>>(
    rows: &RecordBatch,
    key: &[N],
    newest: Newest,
) -> Result<Option<UInt32Array>, StoreError> {
    let keys = comparable(&columns_of(rows, key)?)?;
    if (1..keys.num_rows()).all(|row| keys.row(row - 1) < keys.row(row)) {
        return Ok(None);
    }
    let mut order = sorted(&keys);
    let versions = match newest {
        Newest::Position => None,
        Newest::Version => Some(comparable(&columns_of(rows, &VERSION_COLUMNS)?)?),
    };
    let is_newer = |row: u32, than: u32| match &versions {
        None => row > than,
        Some(versions) => versions.row(row as usize) > versions.row(than as usize),
    };
    order.dedup_by(|row, kept| {
        let same = keys.row(*row as usize) == keys.row(*kept as usize);
        if same && is_newer(*row, *kept) {
            *kept = *row;
        }
        same
    });
    Ok(Some(UInt32Array::from(order)))
}

/// The positions of the keys in their order, equal ones as they lie.
///
/// What keys begin with lies beside their positions, so that most comparisons need not look up a key.
fn sorted(keys: &Rows) -> Vec<u32> {
    let mut order: Vec<(u128, u32)> = keys.iter().map(|key| start(key.data())).zip(0..).collect();
    order.sort_unstable_by(|(start_a, a), (start_b, b)| {
        let rest = || keys.row(*a as usize).cmp(&keys.row(*b as usize));
        start_a.cmp(start_b).then_with(rest).then(a.cmp(b))
    });
    order.into_iter().map(|(_, row)| row).collect()
}

/// The first 16 bytes as a number that compares as they do, shorter ones as if zeros followed.
fn start(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = key.len().min(bytes.len());
    bytes[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(bytes)
}

/// The batches as one, in the order of the key with only the newest version of each row; without a key as they come.
pub(crate) fn merged<N: AsRef<str>>(
    batches: &[RecordBatch],
    schema: &SchemaRef,
    key: &[N],
) -> Result<RecordBatch, StoreError> {
    let all = concat_batches(schema, batches)?;
    if key.is_empty() {
        return Ok(all);
    }
    match order(&all, key, Newest::Version)? {
        Some(order) => Ok(take_record_batch(&all, &order)?),
        None => Ok(all),
    }
}
