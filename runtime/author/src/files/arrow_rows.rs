//! Parquet, and rows that are in memory already.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options, concat_batches};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use domicile_sandbox::ValueType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::text_rows::Misfit;

pub(super) fn read(file: File) -> Result<RecordBatch, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
    let schema = Arc::clone(builder.schema());
    let reader = builder.build().map_err(|e| e.to_string())?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    concat_batches(&schema, &batches).map_err(|e| e.to_string())
}

/// A column by its name, in the type asked for. Only what keeps its meaning is converted: numbers to wider numbers,
/// decimals to doubles, encodings of texts and dates to others.
pub(super) fn column(batch: &RecordBatch, name: &str, kind: ValueType) -> Result<ArrayRef, Misfit> {
    let found = batch.column_by_name(name).ok_or_else(|| (0, "there is no such column".to_owned()))?;
    if !keeps_meaning(found.data_type(), kind) {
        return Err((0, format!("the column is of type {}, not a {kind}", found.data_type())));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(found, &kind.arrow_type(), &options).map_err(|error| (0, error.to_string()))
}

fn keeps_meaning(from: &DataType, to: ValueType) -> bool {
    let from = match from {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    match to {
        ValueType::BigInt => from.is_integer(),
        ValueType::Double => from.is_numeric(),
        ValueType::Text => matches!(from, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        ValueType::Date => matches!(from, DataType::Date32 | DataType::Date64),
        ValueType::Boolean => *from == DataType::Boolean,
        ValueType::Bytes => matches!(from, DataType::Binary | DataType::LargeBinary | DataType::BinaryView),
    }
}

pub(super) fn keys(batch: &RecordBatch, name: &str) -> Result<StringArray, ArrowError> {
    let column = batch.column_by_name(name).map(|column| cast(column, &DataType::Utf8)).transpose()?;
    Ok(column.map_or_else(|| StringArray::new_null(batch.num_rows()), |array| array.as_string::<i32>().clone()))
}
