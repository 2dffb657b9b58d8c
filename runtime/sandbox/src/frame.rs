//! The columns of one call.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use crate::limit::Limit;
use crate::refusal::Refusal;
use crate::{SandboxLimits, ValueType};

/// What kernels see of a column.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// Nobody looked yet.
    Unknown,
    /// The column itself.
    Same,
    /// A copy.
    Other(ArrayRef),
}

/// Columns by their numbers: first the arguments of the call, then those that imports made.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    columns: Vec<ArrayRef>,
    /// What kernels see of each column: the same, or with one NaN for all.
    seen: Vec<Seen>,
    arguments: usize,
    made_bytes: usize,
    columns_max: usize,
    bytes_max: usize,
    rows_max: usize,
}

impl Frame {
    pub(crate) fn new(limits: &SandboxLimits) -> Self {
        Self {
            columns_max: limits.columns_max,
            bytes_max: limits.column_bytes_max,
            rows_max: u32::MAX as usize,
            ..Self::default()
        }
    }

    /// Begins a call with these arguments, numbered from 0.
    pub(crate) fn begin(&mut self, arguments: &[ArrayRef]) {
        self.clear();
        self.columns.extend_from_slice(arguments);
        self.seen.resize(arguments.len(), Seen::Unknown);
        self.arguments = arguments.len();
    }

    /// Forgets all columns, so that their numbers mean nothing in the next call.
    pub(crate) fn clear(&mut self) {
        self.columns.clear();
        self.seen.clear();
        self.made_bytes = 0;
    }

    pub(crate) fn get(&self, import: &'static str, column: u32) -> Result<&ArrayRef, Refusal> {
        self.find(column)
            .ok_or_else(|| Refusal::Misuse { import, detail: format!("{column} is no column of this call") })
    }

    pub(crate) fn find(&self, column: u32) -> Option<&ArrayRef> {
        self.columns.get(usize::try_from(column).ok()?)
    }

    /// Whether the call may make one more column of so many bytes; asked before they are allocated.
    pub(crate) fn admit(&self, bytes: usize) -> Result<(), Refusal> {
        if self.columns.len() - self.arguments >= self.columns_max {
            return Err(Refusal::Limit(Limit::Columns(self.columns_max)));
        }
        if bytes > self.bytes_max - self.made_bytes.min(self.bytes_max) {
            return Err(Refusal::Limit(Limit::ColumnBytes(self.bytes_max)));
        }
        Ok(())
    }

    /// Takes in a column that an import made.
    pub(crate) fn add(&mut self, column: ArrayRef) -> Result<u32, Refusal> {
        let bytes = bytes_of(&column);
        self.admit(bytes)?;
        let number = u32::try_from(self.columns.len()).ok().filter(|_| column.len() <= self.rows_max);
        let number = number.ok_or(Refusal::Limit(Limit::Columns(self.columns_max)))?;
        self.made_bytes += bytes;
        self.columns.push(column);
        self.seen.push(Seen::Unknown);
        Ok(number)
    }

    /// What kernels see of a column, as far as that is known.
    pub(crate) fn seen(&self, column: u32) -> Seen {
        let seen = usize::try_from(column).ok().and_then(|column| self.seen.get(column));
        seen.cloned().unwrap_or(Seen::Unknown)
    }

    /// Notes what kernels see of a column. A copy counts as a column of the call.
    pub(crate) fn note(&mut self, column: u32, seen: Seen) {
        if let Seen::Other(copy) = &seen {
            self.made_bytes += bytes_of(copy);
        }
        if let Some(noted) = usize::try_from(column).ok().and_then(|column| self.seen.get_mut(column)) {
            *noted = seen;
        }
    }
}

/// Bytes that a column's own rows take.
pub(crate) fn bytes_of(column: &ArrayRef) -> usize {
    let rows = column.len();
    let validity = column.nulls().map_or(0, |_| rows.div_ceil(8));
    validity
        + match column.data_type() {
            DataType::Int64 | DataType::Float64 => rows * 8,
            DataType::Date32 => rows * 4,
            DataType::Boolean => rows.div_ceil(8),
            _ => run_bytes(column) + (rows + 1) * 4,
        }
}

/// Bytes of a column's texts or byte runs, without their offsets; 0 where it has none.
pub(crate) fn run_bytes(column: &ArrayRef) -> usize {
    use arrow::array::AsArray;
    let offsets = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value_offsets(),
        DataType::Binary => column.as_binary::<i32>().value_offsets(),
        _ => return 0,
    };
    match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or_default(),
        _ => 0,
    }
}

/// The type of a column of a call. Only types that plugins know come into a call.
pub(crate) fn kind_of(column: &ArrayRef) -> Result<ValueType, Refusal> {
    ValueType::from_arrow(column.data_type()).ok_or_else(|| Refusal::Misuse {
        import: "columns.kind",
        detail: format!("a column of {} cannot be passed to a plugin", column.data_type()),
    })
}
