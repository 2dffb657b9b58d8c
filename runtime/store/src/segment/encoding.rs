//! How the columns of a segment are encoded.

use std::collections::HashSet;

use arrow::array::{Array, RecordBatch};
use arrow::row::{RowConverter, SortField};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::StoreError;
use crate::catalog::Entry;
use crate::version::{EPOCH_COLUMN, HLC_COLUMN, OP_COLUMN, ORIGIN_COLUMN, SEQ_COLUMN};

/// Rows of one row group.
pub(super) const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Share of lookups that a Bloom filter lets through wrongly.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Rows in which the values of a column are counted.
const SAMPLE_ROWS: usize = 4096;

/// How the columns of a segment are written whose first rows are given.
///
/// A dictionary that every value enters once costs a hash and a copy a row and saves nothing, so columns whose values
/// hardly repeat in the sample go without one.
pub(super) fn properties(entry: &Entry, first: &RecordBatch) -> Result<WriterProperties, StoreError> {
    let key = entry.primary_key();
    let position = |name: &String| entry.stored.index_of(name).ok().and_then(|index| i32::try_from(index).ok());
    let sorting: Vec<_> = key
        .iter()
        .filter_map(position)
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns((!sorting.is_empty()).then_some(sorting))
        .set_created_by("domicile".to_owned());
    for (field, column) in first.schema_ref().fields().iter().zip(first.columns()) {
        let is_sorted = key.first() == Some(field.name()) || [HLC_COLUMN, SEQ_COLUMN].contains(&field.name().as_str());
        let rises = is_sorted && column.data_type().is_integer();
        if rises {
            builder = builder.set_column_encoding(path(field.name()), Encoding::DELTA_BINARY_PACKED);
        }
        if rises || hardly_repeats(column)? {
            builder = builder.set_column_dictionary_enabled(path(field.name()), false);
        }
    }
    for name in [HLC_COLUMN, SEQ_COLUMN, ORIGIN_COLUMN, EPOCH_COLUMN, OP_COLUMN] {
        builder = builder.set_column_statistics_enabled(path(name), EnabledStatistics::Chunk);
    }
    Ok(key.iter().fold(builder, |builder, name| bloom(builder, path(name))).build())
}

fn path(name: &str) -> ColumnPath {
    ColumnPath::new(vec![name.to_owned()])
}

fn bloom(builder: WriterPropertiesBuilder, column: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_bloom_filter_enabled(column.clone(), true)
        .set_column_bloom_filter_fpp(column.clone(), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(column, ROW_GROUP_ROWS as u64)
}

/// Whether more than half of a sample's values are different.
fn hardly_repeats(column: &dyn Array) -> Result<bool, StoreError> {
    let sample = column.slice(0, column.len().min(SAMPLE_ROWS));
    let values = RowConverter::new(vec![SortField::new(sample.data_type().clone())])?.convert_columns(&[sample])?;
    let distinct: HashSet<_> = values.iter().map(|value| value.data()).collect();
    Ok(distinct.len() * 2 > values.num_rows())
}
