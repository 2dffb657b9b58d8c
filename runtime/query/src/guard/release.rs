//! Which groups leave, and how exactly.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use domicile_policy::Verdict;

use super::GuardColumns;
use crate::QueryError;
use crate::leaf::Released;

/// What the guard knows about a group.
#[derive(Debug, Clone)]
struct Group {
    entities: u64,
    values: Vec<Evidence>,
}

/// What it knows about one value of a group.
#[derive(Debug, Clone, Copy, Default)]
struct Evidence {
    present: u64,
    /// The largest contribution of one entity, or more.
    top: f64,
    whole: f64,
}

impl Evidence {
    /// Nobody, or enough people none of whom makes up too much.
    fn is_sound(&self, verdict: &Verdict) -> bool {
        let share_max = verdict.dominance_percent as f64 / 100.0;
        // What is not a number is not a small share either.
        let shared = self.whole.is_finite() && self.top <= self.whole * share_max;
        self.present == 0 || (self.present >= verdict.minimum_entities && (shared || verdict.dominance_percent >= 100))
    }
}

impl Group {
    fn is_sound(&self, verdict: &Verdict) -> bool {
        self.entities >= verdict.minimum_entities && self.values.iter().all(|value| value.is_sound(verdict))
    }

    /// What is known of both together. Entities may be in both, so that there are at least as many as in the larger,
    /// and one of them may contribute as much as the largest of each.
    fn add(&mut self, other: &Self) {
        self.entities = self.entities.max(other.entities);
        for (value, other) in self.values.iter_mut().zip(&other.values) {
            value.present = value.present.max(other.present);
            value.top += other.top;
            value.whole += other.whole;
        }
    }
}

/// Releases the groups of `batches`. Their first columns are what was asked, and `is_value` says of each whether it is a
/// value, or else a key; the guard's own follow.
///
/// # Errors
/// Where the columns are not those that the guard planned.
pub(crate) fn release(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    is_value: &[bool],
    guards: &GuardColumns,
    verdict: &Verdict,
) -> Result<Released, QueryError> {
    let failed = |e: ArrowError| QueryError::Execution(e.to_string());
    let outputs = is_value.len();
    let kept: Vec<usize> = (0..outputs).collect();
    let released_schema = Arc::new(schema.project(&kept).map_err(failed)?);
    let groups: Vec<Group> = batches.iter().flat_map(|batch| groups(batch, outputs, guards)).collect();
    let open = open(&groups, verdict);
    let (mut released, mut rows, mut start) = (Vec::with_capacity(batches.len()), 0, 0);
    for batch in batches {
        let end = start + batch.num_rows();
        let mask = BooleanArray::from(open[start..end].to_vec());
        start = end;
        let batch = filter_record_batch(batch, &mask).and_then(|open| open.project(&kept)).map_err(failed)?;
        rows += batch.num_rows() as u64;
        released.push(rounded(&batch, is_value, verdict.round_to).map_err(failed)?);
    }
    let suppressed = groups.len() as u64 - rows;
    let suppressed = suppressed.div_ceil(verdict.minimum_entities.max(1)) * verdict.minimum_entities.max(1);
    Ok(Released { schema: released_schema, batches: released, rows, suppressed })
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

/// Which groups are released. Where any is held back, so is what makes all that is held back together sound: whoever
/// knows the total learns no more than that.
fn open(groups: &[Group], verdict: &Verdict) -> Vec<bool> {
    let mut open: Vec<bool> = groups.iter().map(|group| group.is_sound(verdict)).collect();
    let mut held = groups.iter().zip(&open).filter(|(_, open)| !**open).map(|(group, _)| group);
    let Some(mut remainder) = held.next().cloned() else { return open };
    held.for_each(|group| remainder.add(group));
    let mut smallest: Vec<usize> = (0..groups.len()).filter(|at| open[*at]).collect();
    smallest.sort_by_key(|at| groups[*at].entities);
    for at in smallest {
        if remainder.is_sound(verdict) {
            break;
        }
        remainder.add(&groups[at]);
        open[at] = false;
    }
    open
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
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A group as the entities in it, and what each adds to its one value.
    type Members = BTreeMap<u8, u16>;

    fn evidence(members: &Members) -> Group {
        let weights = || members.values().map(|weight| f64::from(*weight));
        let value =
            Evidence { present: members.len() as u64, top: weights().fold(0.0, f64::max), whole: weights().sum() };
        Group { entities: members.len() as u64, values: vec![value] }
    }

    /// By the rule itself, over the entities.
    fn is_sound(members: &Members, verdict: &Verdict) -> bool {
        let (most, all) =
            members.values().fold((0, 0), |(most, all), weight| (most.max(*weight), all + u64::from(*weight)));
        members.len() as u64 >= verdict.minimum_entities && u64::from(most) * 100 <= all * verdict.dominance_percent
    }

    fn together<'a>(groups: impl Iterator<Item = &'a Members>) -> Members {
        let mut all = Members::new();
        groups.flatten().for_each(|(entity, weight)| *all.entry(*entity).or_default() += weight);
        all
    }

    proptest! {
        #[test]
        fn nothing_unsound_leaves_or_can_be_subtracted(
            groups in prop::collection::vec(prop::collection::btree_map(0_u8..40, 0_u16..1000, 1..12), 0..12),
            minimum_entities in 1_u64..8,
            dominance_percent in prop::sample::select(vec![20_u64, 50, 80, 99, 100]),
        ) {
            let verdict = Verdict { minimum_entities, dominance_percent, round_to: 0, clauses: Vec::new() };
            let open = open(&groups.iter().map(evidence).collect::<Vec<_>>(), &verdict);
            for (group, _) in groups.iter().zip(&open).filter(|(_, open)| **open) {
                prop_assert!(is_sound(group, &verdict), "{group:?}");
            }
            let held = groups.iter().zip(&open).filter(|(_, open)| !**open).map(|(group, _)| group);
            let held = together(held);
            let all_held = open.iter().all(|open| !open);
            prop_assert!(held.is_empty() || all_held || is_sound(&held, &verdict), "{held:?}");
            if groups.iter().all(|group| is_sound(group, &verdict)) {
                prop_assert!(open.iter().all(|open| *open), "nothing is held back for nothing");
            }
        }

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
