//! From groups with evidence to what leaves of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use domicile_policy::{Released, Trace, Verdict};

use super::GuardColumns;
use super::margins::margins;
use super::suppress::{Evidence, Group, open};
use super::trace::{Places, places, read};
use crate::QueryError;

/// Groups, and which of them the verdict lets leave as far as this question alone goes.
#[derive(Debug)]
pub(crate) struct Judged {
    /// All groups, with what was asked of each, rounded.
    pub(crate) rows: RecordBatch,
    /// Which of its columns are keys.
    pub(crate) keys: Vec<usize>,
    pub(crate) open: Vec<bool>,
    /// The traces of all groups, with the table that they are of.
    traces: Vec<(String, Vec<Trace>)>,
    /// Whether it may be told that groups are held back: not where all of them together are too small.
    told: bool,
    threshold: u64,
}

impl Judged {
    /// Groups that the verdict lets leave.
    pub(crate) fn open_groups(&self) -> usize {
        self.open.iter().filter(|open| **open).count()
    }

    /// Groups held back where this many leave, as far as it may be told: rounded up to a multiple of the threshold.
    pub(crate) fn suppressed(&self, released: usize) -> u64 {
        let held = self.open.len().saturating_sub(released) as u64;
        // Where less leaves than could, enough people stand behind what does not.
        let told = self.told || released < self.open_groups();
        if told { held.div_ceil(self.threshold) * self.threshold } else { 0 }
    }

    /// The groups that leave.
    ///
    /// # Errors
    /// Where they cannot be picked out.
    pub(crate) fn released(&self) -> Result<RecordBatch, QueryError> {
        let open = BooleanArray::from(self.open.clone());
        filter_record_batch(&self.rows, &open).map_err(|e| QueryError::Execution(e.to_string()))
    }

    /// The rows behind one group, by value.
    pub(crate) fn traces(&self, group: usize) -> Vec<Released> {
        let released =
            |(table, traces): &(String, Vec<Trace>)| Released { table: table.clone(), trace: traces[group].clone() };
        self.traces.iter().map(released).collect()
    }
}

/// Judges the groups of `batches`. Their first columns are what was asked, and `is_value` says of each whether it is a
/// value, or else a key; the guard's own follow.
///
/// # Errors
/// Where the columns are not those that the guard planned.
pub(crate) fn judge(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    is_value: &[bool],
    guards: &GuardColumns,
    verdict: &Verdict,
) -> Result<Judged, QueryError> {
    let failed = |e: ArrowError| QueryError::Execution(e.to_string());
    let outputs = is_value.len();
    let whole = concat_batches(schema, batches).map_err(failed)?;
    let asked: Vec<usize> = (0..outputs).collect();
    let rows = whole.project(&asked).map_err(failed)?;
    let keys: Vec<usize> = (0..outputs).filter(|column| !is_value[*column]).collect();
    let mut groups = groups(&whole, outputs, guards);
    let traces = guards.traces.iter().map(|(table, column)| {
        let column = whole.column(outputs + column);
        (table.clone(), traces(column, &mut groups))
    });
    let traces = traces.collect();
    let open = if groups.iter().any(|group| group.is_sound(verdict)) {
        let keys: Vec<ArrayRef> = keys.iter().map(|key| Arc::clone(rows.column(*key))).collect();
        let margins = margins(&keys, groups.len()).map_err(failed)?;
        open(&groups, margins.as_deref(), verdict)
    } else {
        vec![false; groups.len()]
    };
    let held = groups.iter().zip(&open).filter(|(_, open)| !**open).map(|(group, _)| group);
    // That somebody is behind what is held back is told only of as many as may be told of.
    let told = Group::together(held).is_some_and(|held| held.entities >= verdict.minimum_entities);
    let rows = rounded(&rows, is_value, verdict.round_to).map_err(failed)?;
    Ok(Judged { rows, keys, open, traces, told, threshold: verdict.minimum_entities.max(1) })
}

/// The traces of the groups, and to the groups the places of their entities.
fn traces(column: &ArrayRef, groups: &mut [Group]) -> Vec<Trace> {
    let traces = column.as_binary::<i32>().iter().zip(groups).map(|(bytes, group)| {
        let trace = read(bytes.unwrap_or_default());
        group.places.iter_mut().zip(places(&trace)).for_each(|(all, more)| *all |= more);
        trace
    });
    traces.collect()
}

fn groups(batch: &RecordBatch, outputs: usize, guards: &GuardColumns) -> Vec<Group> {
    let count = |column: usize, row: usize| {
        let counts = batch.column(outputs + column).as_primitive::<Int64Type>();
        u64::try_from(counts.value(row)).unwrap_or(0)
    };
    // A weight of nothing is none.
    let weight = |column: usize, row: usize| {
        let weights = batch.column(outputs + column).as_primitive::<Float64Type>();
        if weights.is_valid(row) { weights.value(row) } else { 0.0 }
    };
    let group = |row: usize| Group {
        entities: count(guards.entities, row),
        places: Places::default(),
        values: guards
            .values
            .iter()
            .map(|value| {
                let (top, whole) =
                    value.weights.map_or((0.0, 0.0), |(top, whole)| (weight(top, row), weight(whole, row)));
                Evidence { present: count(value.present, row), top, whole }
            })
            .collect(),
    };
    (0..batch.num_rows()).map(group).collect()
}

/// The values as the nearest multiples of `step`, halves away from zero; as they are where it is 0.
fn rounded(batch: &RecordBatch, is_value: &[bool], step: u64) -> Result<RecordBatch, ArrowError> {
    if step == 0 {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().zip(is_value);
    let columns = columns.map(|(column, is_value)| if *is_value { round(column, step) } else { Arc::clone(column) });
    RecordBatch::try_new(batch.schema(), columns.collect())
}

fn round(column: &ArrayRef, step: u64) -> ArrayRef {
    match column.data_type() {
        DataType::Int64 => {
            let step = i128::from(step);
            let round = |value: i64| {
                i64::try_from(nearest(value.into(), step)).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
            };
            Arc::new(column.as_primitive::<Int64Type>().unary::<_, Int64Type>(round))
        }
        DataType::Float64 => {
            let step = step as f64;
            let round = |value: f64| (value / step).round() * step;
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(round))
        }
        DataType::Decimal128(precision, scale) => {
            let unit = 10_i128.checked_pow(u32::try_from(*scale).unwrap_or(0));
            let step = unit.and_then(|unit| unit.checked_mul(step.into()));
            let limit = 10_i128.checked_pow((*precision).into()).unwrap_or(i128::MAX);
            let within = |value: i128, step: i128| {
                let rounded = nearest(value, step);
                if rounded.abs() < limit { rounded } else { value / step * step }
            };
            let round = |value: i128| step.map_or(0, |step| within(value, step));
            let rounded = column.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(round);
            Arc::new(rounded.with_data_type(column.data_type().clone()))
        }
        _ => Arc::clone(column),
    }
}

fn nearest(value: i128, step: i128) -> i128 {
    value.signum() * (value.abs().saturating_add(step / 2) / step * step)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_go_to_the_nearest_multiple(value in -1_000_000_i64..1_000_000, step in 1_u64..5_000) {
            let columns: [ArrayRef; 2] = [
                Arc::new(arrow::array::Int64Array::from(vec![value])),
                Arc::new(arrow::array::Decimal128Array::from(vec![i128::from(value) * 100]).with_data_type(DataType::Decimal128(20, 2))),
            ];
            let [whole, decimal] = columns.map(|column| round(&column, step));
            let rounded = whole.as_primitive::<Int64Type>().value(0);
            prop_assert_eq!(rounded % step.cast_signed(), 0);
            prop_assert!((rounded - value).unsigned_abs() * 2 <= step);
            prop_assert_eq!(decimal.as_primitive::<Decimal128Type>().value(0), i128::from(rounded) * 100);
        }
    }
}
