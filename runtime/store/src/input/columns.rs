//! Matching a file's columns with the dataset's by name, and converting their values without loss.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use domicile_types::DatasetName;

use super::Columns;
use crate::catalog::{Entry, type_name};
use crate::refusals::{RefusalReason, Refusals};
use crate::{HeaderProblem, StoreError};

/// Nulls in place of values that do not fit: they are looked for afterwards, to name their rows.
const NULL_ON_FAILURE: CastOptions<'static> =
    CastOptions { safe: true, format_options: arrow::util::display::FormatOptions::new() };

/// The columns that rows must have, each of them nullable.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    dataset: DatasetName,
    pub(super) schema: SchemaRef,
    /// All declared columns.
    declared: SchemaRef,
}

impl Wanted {
    pub(super) fn new(entry: &Entry, columns: Columns) -> Result<Self, StoreError> {
        let dataset = entry.spec.dataset.name.clone();
        let nullable = |field: &Field| field.clone().with_nullable(true);
        let fields: Vec<Field> = match (columns, entry.primary_key()) {
            (Columns::All, _) => entry.schema.fields().iter().map(|field| nullable(field)).collect(),
            (Columns::Key, []) => return Err(StoreError::NoKey { dataset }),
            (Columns::Key, key) => {
                let field = |name: &String| Ok(nullable(entry.schema.field_with_name(name)?));
                key.iter().map(field).collect::<Result<_, StoreError>>()?
            }
        };
        Ok(Self { dataset, schema: Arc::new(Schema::new(fields)), declared: SchemaRef::clone(&entry.schema) })
    }

    pub(super) fn refuse(&self, problem: HeaderProblem) -> StoreError {
        StoreError::Header { dataset: self.dataset.clone(), problem }
    }

    /// Whether the column is declared, though it is not wanted.
    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.declared.field_with_name(name).is_ok()
    }

    /// The wanted column whose name is most similar.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        let known = self.schema.fields().iter().map(|field| field.name().as_str());
        domicile_types::nearest(name, known).map(str::to_owned)
    }

    /// Position in the file of each wanted column.
    pub(super) fn positions(&self, names: &[&str]) -> Result<Vec<usize>, StoreError> {
        for (index, name) in names.iter().enumerate() {
            let column = (*name).to_owned();
            if names[..index].contains(name) {
                return Err(self.refuse(HeaderProblem::Repeated { column }));
            }
            if self.schema.field_with_name(name).is_err() {
                return Err(self.refuse(match self.is_declared(name) {
                    true => HeaderProblem::NotKey { column },
                    false => HeaderProblem::Unknown { nearest: self.nearest(name), column },
                }));
            }
        }
        let position = |field: &Arc<Field>| {
            let missing = || self.refuse(HeaderProblem::Missing { column: field.name().clone() });
            names.iter().position(|name| name == field.name()).ok_or_else(missing)
        };
        self.schema.fields().iter().map(position).collect()
    }

    /// [`Wanted::positions`] in a file that has types, which are checked.
    pub(super) fn typed_positions(&self, file: &Schema) -> Result<Vec<usize>, StoreError> {
        let names: Vec<&str> = file.fields().iter().map(|field| field.name().as_str()).collect();
        let positions = self.positions(&names)?;
        for (field, position) in self.schema.fields().iter().zip(&positions) {
            let found = file.field(*position).data_type();
            if !compatible(found, field.data_type()) {
                let (expected, found) = (type_name(field.data_type()), type_name(found));
                return Err(self.refuse(HeaderProblem::Type { column: field.name().clone(), expected, found }));
            }
        }
        Ok(positions)
    }
}

/// Whether every value of `to` has an exact, unsurprising counterpart in `from`, so that single misfits can be refused.
fn compatible(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Decimal128, Float64, Int32, Int64, Null, Timestamp, Utf8};
    match (from, to) {
        (Null, _) => true,
        (from, Utf8) => is_texts(from),
        (from, Int32 | Int64) => from.is_integer(),
        (from, Float64) => from.is_integer() || from.is_floating(),
        (from, Decimal128(..)) => from.is_integer() || from.is_decimal(),
        (from, Date32) => matches!(from, Date32 | Date64 | Timestamp(_, None)),
        (from, Boolean) => *from == Boolean,
        _ => false,
    }
}

/// Whether these are texts, each in its row or in a dictionary.
pub(super) fn is_texts(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_text(values),
        kind => is_text(kind),
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The columns of a batch of texts as the declared types.
pub(super) fn parse(
    batch: &RecordBatch,
    target: &SchemaRef,
    offset: usize,
    refusals: &mut Refusals,
) -> Result<RecordBatch, StoreError> {
    convert_all(batch, target, |texts, field| {
        let parsed = cast_with_options(texts, field.data_type(), &NULL_ON_FAILURE)?;
        let values = texts.as_string::<i32>();
        let expected = || type_name(field.data_type());
        for row in 0..values.len() {
            if values.is_null(row) {
                continue;
            }
            let text = values.value(row);
            let reason = if parsed.is_null(row) || !is_canonical(text, field.data_type()) {
                RefusalReason::Malformed { expected: expected() }
            } else if drops_digits(text, field.data_type()) {
                RefusalReason::Lossy { expected: expected() }
            } else {
                continue;
            };
            refusals.refuse(offset + row, field.name(), || Some(text.to_owned()), reason);
        }
        Ok(parsed)
    })
}

/// The columns of a typed batch as the declared types.
pub(super) fn cast(
    batch: &RecordBatch,
    target: &SchemaRef,
    offset: usize,
    refusals: &mut Refusals,
) -> Result<RecordBatch, StoreError> {
    convert_all(batch, target, |source, field| {
        let converted = cast_with_options(source, field.data_type(), &NULL_ON_FAILURE)?;
        if *source.data_type() == DataType::Null || is_text(&converted.data_type().clone()) {
            return Ok(converted);
        }
        let back = cast_with_options(&converted, source.data_type(), &NULL_ON_FAILURE)?;
        let same = cmp::eq(&back, source)?;
        if same.true_count() + source.null_count() == source.len() {
            return Ok(converted);
        }
        for row in 0..source.len() {
            if source.is_valid(row) && !(same.is_valid(row) && same.value(row)) {
                let reason = RefusalReason::Lossy { expected: type_name(field.data_type()) };
                refusals.refuse(offset + row, field.name(), || array_value_to_string(source, row).ok(), reason);
            }
        }
        Ok(converted)
    })
}

fn convert_all(
    batch: &RecordBatch,
    target: &SchemaRef,
    mut convert: impl FnMut(&ArrayRef, &Field) -> Result<ArrayRef, StoreError>,
) -> Result<RecordBatch, StoreError> {
    let convert_one = |(column, field): (&ArrayRef, &Arc<Field>)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => convert(column, field),
    };
    let columns = batch.columns().iter().zip(target.fields()).map(convert_one).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(target), columns)?)
}

/// Whether a text that the kernel accepts is written as a person would expect: the kernel also takes a date with a
/// time, which it drops, space around numbers, and numbers that are infinite.
fn is_canonical(text: &str, kind: &DataType) -> bool {
    let bytes = text.as_bytes();
    match kind {
        DataType::Date32 => bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-',
        DataType::Decimal128(..) => bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+')),
        DataType::Float64 => text.parse().is_ok_and(f64::is_finite),
        _ => bytes.trim_ascii().len() == bytes.len(),
    }
}

/// Whether a decimal has more digits after the point than its type keeps; the kernel would round them.
fn drops_digits(text: &str, kind: &DataType) -> bool {
    let DataType::Decimal128(_, scale) = kind else { return false };
    let kept = usize::try_from(*scale).unwrap_or(0);
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    fraction.bytes().skip(kept).any(|digit| digit != b'0')
}
