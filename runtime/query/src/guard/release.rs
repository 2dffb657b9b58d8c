//! From groups with evidence to what leaves of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use domicile_policy::{Difference, Needs, Released, Releases, Trace, Verdict, near_each_other};
use twox_hash::XxHash3_64;

use super::GuardColumns;
use super::domain::{Domains, Opened};
use super::margins::margins;
use super::suppress::{Evidence, Group, open};
use super::trace::{Places, places, read};
use crate::QueryError;
use crate::definition::Definition;
use crate::history::Asked;

/// Groups, and which of them the verdict lets leave as far as this question alone goes.
#[derive(Debug)]
pub(crate) struct Judged {
    /// All groups, with what was asked of each, rounded.
    pub(crate) rows: RecordBatch,
    /// Which of its columns are keys.
    pub(crate) keys: Vec<usize>,
    pub(crate) open: Vec<bool>,
    /// The traces of all groups.
    traces: Vec<Traces>,
    /// What each group is a group of.
    definitions: Vec<u64>,
    /// What all of them together are.
    definition: u64,
    /// Whether it may be told that groups are held back: not where all of them together are too small.
    told: bool,
    threshold: u64,
    /// How many groups there are, or can be.
    groups: usize,
}

/// The traces of all groups behind one kind of value.
#[derive(Debug)]
struct Traces {
    /// What they are compared with.
    pool: String,
    /// Added to the definitions of the groups: which of their rows these are.
    of: u64,
    /// Those with the same are compared with each other.
    beside: Option<String>,
    traces: Vec<Trace>,
}

impl Judged {
    /// Notes what the groups are groups of; the keys of the answer are those with these numbers.
    ///
    /// # Errors
    /// Where a key is of a type that has no single values.
    pub(crate) fn define(&mut self, definition: &Definition, indexes: &[usize]) -> Result<(), QueryError> {
        let keys: Vec<(usize, &ArrayRef)> =
            indexes.iter().zip(&self.keys).map(|(index, column)| (*index, self.rows.column(*column))).collect();
        let groups = (0..self.rows.num_rows()).map(|row| definition.group(&keys, row));
        self.definitions = groups.collect::<Result<_, _>>()?;
        self.definition = definition.group(&[], 0)?;
        Ok(())
    }

    /// Groups that the verdict lets leave.
    pub(crate) fn open_groups(&self) -> usize {
        self.open.iter().filter(|open| **open).count()
    }

    /// Groups held back where this many leave, as far as it may be told: rounded up to a multiple of the threshold.
    pub(crate) fn suppressed(&self, released: usize) -> u64 {
        let held = self.groups.saturating_sub(released) as u64;
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
        let defined = self.definitions.get(group).copied().unwrap_or_default();
        let released = |one: &Traces| Released {
            pool: one.pool.clone(),
            definition: defined.wrapping_add(one.of),
            trace: one.traces[group].clone(),
        };
        self.traces.iter().map(released).collect()
    }

    /// What all groups together are defined as, by value.
    pub(crate) fn definitions_of_all(&self) -> impl Iterator<Item = u64> {
        self.traces.iter().map(|one| self.definition.wrapping_add(one.of))
    }
}

/// Judges the groups of `batches`. Their first columns are what was asked, and `is_value` says of each whether it is a
/// value, or else a key; the guard's own follow. Where the keys have `domains`, the groups are judged among all that there
/// can be.
///
/// # Errors
/// Where the columns are not those that the guard planned.
pub(crate) fn judge(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    is_value: &[bool],
    guards: &GuardColumns,
    domains: Option<&Domains>,
    verdict: &Verdict,
) -> Result<Judged, QueryError> {
    let failed = |e: ArrowError| QueryError::Execution(e.to_string());
    let outputs = is_value.len();
    let whole = flat(&concat_batches(schema, batches).map_err(failed)?).map_err(failed)?;
    let asked: Vec<usize> = (0..outputs).collect();
    let rows = whole.project(&asked).map_err(failed)?;
    let keys: Vec<usize> = (0..outputs).filter(|column| !is_value[*column]).collect();
    let mut groups = groups(&whole, outputs, guards);
    let traces = guards.traces.iter().map(|traced| {
        let column = whole.column(outputs + traced.column);
        let of = traced.of.as_ref().map_or(0, |of| XxHash3_64::oneshot(of.as_bytes()));
        let (pool, beside) = (traced.pool.clone(), traced.beside.clone());
        Traces { pool, of, beside, traces: traces(column, traced.weighs, &mut groups) }
    });
    let traces: Vec<Traces> = traces.collect();
    if Asked::compares(verdict) {
        compare(&mut groups, &traces, verdict);
        compare_groups(&mut groups, &traces, verdict);
    }
    let key_columns: Vec<ArrayRef> = keys.iter().map(|key| Arc::clone(rows.column(*key))).collect();
    let Opened { rows: open, sound, groups: count } =
        opened(&key_columns, &groups, domains, verdict).map_err(failed)?;
    let held = groups.iter().zip(open.iter().zip(&sound)).filter(|(_, (open, sound))| !**open && **sound);
    // That somebody is behind what is held back is told only of as many as may be told of.
    let told =
        Group::together(held.map(|(group, _)| group)).is_some_and(|held| held.entities >= verdict.minimum_entities);
    let rows = rounded(&rows, is_value, verdict.round_to).map_err(failed)?;
    Ok(Judged {
        rows,
        keys,
        open,
        traces,
        definitions: Vec::new(),
        definition: 0,
        told,
        threshold: verdict.minimum_entities.max(1),
        groups: count,
    })
}

/// The batch with the columns of a last one that is made of several, where it is.
pub(super) fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let Some(inner) = batch.columns().last().and_then(|column| column.as_struct_opt()) else {
        return Ok(batch.clone());
    };
    let last = batch.num_columns() - 1;
    let fields = batch.schema().fields().iter().take(last).chain(inner.fields()).cloned().collect::<Vec<_>>();
    let columns = batch.columns().iter().take(last).chain(inner.columns()).cloned().collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Which of the groups leave. Where nothing is said of their keys, all of them count as ones that could have.
fn opened(
    keys: &[ArrayRef],
    groups: &[Group],
    domains: Option<&Domains>,
    verdict: &Verdict,
) -> Result<Opened, ArrowError> {
    if let Some(domains) = domains {
        return domains.open(keys, groups, verdict);
    }
    let rows = if groups.iter().any(|group| group.is_sound(verdict)) {
        open(groups, margins(keys, groups.len())?.as_deref(), verdict)
    } else {
        vec![false; groups.len()]
    };
    Ok(Opened { rows, sound: vec![true; groups.len()], groups: groups.len() })
}

/// The traces of the groups, and to the groups the places of their entities.
fn traces(column: &ArrayRef, weighs: bool, groups: &mut [Group]) -> Vec<Trace> {
    let traces = column.as_binary::<i32>().iter().zip(groups).map(|(bytes, group)| {
        let trace = read(bytes.unwrap_or_default(), weighs);
        group.places.iter_mut().zip(places(&trace)).for_each(|(all, more)| *all |= more);
        trace
    });
    traces.collect()
}

/// Notes which groups have values that, put together, are of too few.
fn compare(groups: &mut [Group], traces: &[Traces], verdict: &Verdict) {
    let beside: Vec<(&Traces, &String)> = traces.iter().filter_map(|one| Some((one, one.beside.as_ref()?))).collect();
    let is_alone = |of: &String| beside.iter().filter(|(_, other)| *other == of).count() < 2;
    let beside: Vec<(&Traces, &String)> = beside.iter().filter(|(_, of)| !is_alone(of)).copied().collect();
    if beside.is_empty() {
        return;
    }
    let needs = Asked::needs(verdict);
    for (group, judged) in groups.iter_mut().enumerate() {
        let mut others = Releases::new(beside.len());
        for (one, of) in &beside {
            let released = Released { pool: of.to_string(), definition: one.of, trace: one.traces[group].clone() };
            judged.is_near |= others.compare("", &released, needs) == Difference::TooFew;
            others.remember("", released, verdict.minimum_entities);
        }
    }
}

/// Notes which groups come too near to others that could leave, too: rows of theirs are none of the others', and yet, where
/// most entities have the same in two groups, what these differ by is what few have.
fn compare_groups(groups: &mut [Group], traces: &[Traces], verdict: &Verdict) {
    let needs = Needs { strict: false, ..Asked::needs(verdict) };
    let sound: Vec<usize> = (0..groups.len()).filter(|group| groups[*group].is_sound(verdict)).collect();
    for one in traces.iter().filter(|one| one.traces.iter().any(|trace| trace.weights().is_some())) {
        let of_sound: Vec<Trace> = sound.iter().map(|group| one.traces[*group].clone()).collect();
        let near = near_each_other(&of_sound, needs);
        sound.iter().zip(near).for_each(|(group, near)| groups[*group].is_near |= near);
    }
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
        is_near: false,
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
pub(crate) fn rounded(batch: &RecordBatch, is_value: &[bool], step: u64) -> Result<RecordBatch, ArrowError> {
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
