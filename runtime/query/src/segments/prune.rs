//! Which partitions can have rows that pass the filters of a query, from their keys alone.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use domicile_store::{Partition, PartitionValue, bucket_end, bucket_of};
use domicile_types::{Every, Partitioning};

/// The partitions that may have rows for which all of `filters` hold.
///
/// # Errors
/// Where a filter cannot be evaluated.
pub(crate) fn prune(
    partitions: &[Arc<Partition>],
    partitioning: &Partitioning,
    schema: &SchemaRef,
    filters: &[Expr],
    session: &dyn Session,
) -> DataFusionResult<Vec<Arc<Partition>>> {
    let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(partitions.to_vec()) };
    if partitioning.is_empty() || partitions.is_empty() {
        return Ok(partitions.to_vec());
    }
    let filter = session.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(schema))?)?;
    let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(filter)?;
    let columns = columns(partitioning, schema);
    let kept = predicate.prune(&Keys { partitions, columns })?;
    let kept = partitions.iter().zip(kept).filter(|(_, kept)| *kept);
    Ok(kept.map(|(partition, _)| Arc::clone(partition)).collect())
}

/// What a partition's key says of one column.
#[derive(Debug, Clone, Copy)]
enum Division {
    Time(Every),
    Value,
    Buckets(u32),
}

#[derive(Debug)]
struct Divided<'p> {
    name: &'p str,
    division: Division,
    kind: DataType,
}

fn columns<'p>(partitioning: &'p Partitioning, schema: &SchemaRef) -> Vec<Divided<'p>> {
    let time = partitioning.time.iter().map(|time| (time.column.as_str(), Division::Time(time.every)));
    let by =
        partitioning.by.iter().map(|by| (by.column.as_str(), by.buckets.map_or(Division::Value, Division::Buckets)));
    let kind = |name| schema.field_with_name(name).map_or(DataType::Null, |field| field.data_type().clone());
    time.chain(by).map(|(name, division)| Divided { name, division, kind: kind(name) }).collect()
}

/// The keys of partitions, as what is known of their rows.
struct Keys<'p> {
    partitions: &'p [Arc<Partition>],
    columns: Vec<Divided<'p>>,
}

impl Keys<'_> {
    /// The column's place in keys, with what a key says there.
    fn column(&self, column: &Column) -> Option<(usize, &Divided<'_>)> {
        self.columns.iter().enumerate().find(|(_, divided)| divided.name == column.name)
    }

    /// One bound of each partition; none where a key does not tell it.
    fn bounds(&self, column: &Column, upper: bool) -> Option<ArrayRef> {
        let (place, divided) = self.column(column)?;
        let unknown = ScalarValue::try_new_null(&divided.kind).ok()?;
        let bounds = self.partitions.iter().map(|partition| {
            let value = partition.key.values().get(place);
            value.and_then(|value| bound(value, divided, upper)).unwrap_or_else(|| unknown.clone())
        });
        ScalarValue::iter_to_array(bounds).ok()
    }
}

fn bound(value: &PartitionValue, divided: &Divided<'_>, upper: bool) -> Option<ScalarValue> {
    let plain = match (value, divided.division) {
        (PartitionValue::Day(first), Division::Time(every)) => {
            let day = if upper { bucket_end(*first, every) } else { *first };
            return Some(ScalarValue::Date32(Some(day)));
        }
        (PartitionValue::Integer(value), Division::Value) => ScalarValue::Int64(Some(*value)),
        (PartitionValue::Text(value), Division::Value) => ScalarValue::Utf8(Some(value.clone())),
        (PartitionValue::Boolean(value), Division::Value) => ScalarValue::Boolean(Some(*value)),
        _ => return None,
    };
    plain.cast_to(&divided.kind).ok()
}

impl PruningStatistics for Keys<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, false)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, true)
    }

    fn num_containers(&self) -> usize {
        self.partitions.len()
    }

    /// Of a partition column either no value is missing or all are, so one row stands for all of a partition's.
    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let (place, _) = self.column(column)?;
        let nulls = self.partitions.iter().map(|partition| {
            let value = partition.key.values().get(place)?;
            Some(u64::from(*value == PartitionValue::Missing))
        });
        Some(Arc::new(nulls.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from(vec![1; self.partitions.len()])))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let (place, divided) = self.column(column)?;
        // A value of a kind that is not known could be any of them.
        let values: Vec<PartitionValue> = values.iter().map(plain).collect::<Option<_>>()?;
        let contained = |partition: &Arc<Partition>| contains(partition.key.values().get(place)?, divided, &values);
        Some(self.partitions.iter().map(contained).collect())
    }
}

/// Whether all rows of the partition have one of the values (true), or none does (false).
fn contains(key: &PartitionValue, divided: &Divided<'_>, values: &[PartitionValue]) -> Option<bool> {
    match (key, divided.division) {
        (PartitionValue::Missing, _) => Some(false),
        (PartitionValue::Day(first), Division::Time(every)) => {
            let last = bucket_end(*first, every);
            let within = |value: &PartitionValue| match value {
                PartitionValue::Day(day) => (*first..=last).contains(day),
                _ => true,
            };
            if values.iter().any(within) { None } else { Some(false) }
        }
        (key, Division::Value) => Some(values.contains(key)),
        (key, Division::Buckets(buckets)) => {
            let hit = values.iter().any(|value| bucket_of(value, buckets) == *key);
            if hit { None } else { Some(false) }
        }
        _ => None,
    }
}

/// The value as keys have it; none where it is missing or of another kind.
fn plain(value: &ScalarValue) -> Option<PartitionValue> {
    match value {
        ScalarValue::Int32(Some(value)) => Some(PartitionValue::Integer(i64::from(*value))),
        ScalarValue::Int64(Some(value)) => Some(PartitionValue::Integer(*value)),
        ScalarValue::Boolean(Some(value)) => Some(PartitionValue::Boolean(*value)),
        ScalarValue::Date32(Some(value)) => Some(PartitionValue::Day(*value)),
        ScalarValue::Utf8(Some(value)) | ScalarValue::Utf8View(Some(value)) | ScalarValue::LargeUtf8(Some(value)) => {
            Some(PartitionValue::Text(value.clone()))
        }
        _ => None,
    }
}
