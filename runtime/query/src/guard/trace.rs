//! Traces of the rows behind groups ([`Trace`]), as an aggregate that the engine computes beside the others.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

use domicile_policy::{TRACE_PLACES, Trace};

use super::mark::MarkKey;

/// The trace of each group, as [`read`] takes it: `entity` says whom `marks`, sums of marks of rows, are of, and
/// `weight` how much they contribute. Rows without a mark do not count.
pub(crate) fn trace(key: MarkKey, entity: Expr, marks: Expr, weight: Option<Expr>) -> Expr {
    let signature = Signature::variadic_any(Volatility::Immutable);
    let weighs = weight.is_some();
    AggregateUDF::from(Traced { key, weighs, signature }).call([entity, marks].into_iter().chain(weight).collect())
}

/// Which of the places of a trace have anybody, each a bit.
pub(super) type Places = [u64; TRACE_PLACES / 64];

/// A place, marks, and what they weigh.
type Entry = (u16, u32, f64);

/// The trace that a group's bytes are.
pub(super) fn read(bytes: &[u8], weighs: bool) -> Trace {
    if weighs { Trace::of_sums(with_weights(bytes), true) } else { Trace::of_sums(without_weights(bytes), false) }
}

fn traced(entries: impl Iterator<Item = Entry>, weighs: bool) -> Trace {
    if weighs { Trace::weighed(entries) } else { Trace::of(entries.map(|(place, sum, _)| (place, sum))) }
}

/// The places of a trace.
pub(super) fn places(trace: &Trace) -> Places {
    let mut places = Places::default();
    for (place, _) in trace.sums() {
        places[usize::from(*place) / 64] |= 1 << (place % 64);
    }
    places
}

/// The entries of bytes, which are for each place itself, its marks, and its weight where there are weights.
fn entries(bytes: &[u8], weighs: bool) -> impl Iterator<Item = Entry> + '_ {
    let (with, without) = if weighs { (bytes, [].as_slice()) } else { ([].as_slice(), bytes) };
    with_weights(with).chain(without_weights(without))
}

fn with_weights(bytes: &[u8]) -> impl Iterator<Item = Entry> + Clone + '_ {
    bytes.as_chunks::<14>().0.iter().map(|[a, b, c, d, e, f, weight @ ..]| {
        (u16::from_le_bytes([*a, *b]), u32::from_le_bytes([*c, *d, *e, *f]), f64::from_le_bytes(*weight))
    })
}

fn without_weights(bytes: &[u8]) -> impl Iterator<Item = Entry> + Clone + '_ {
    let pair = |[a, b, c, d, e, f]: &[u8; 6]| (u16::from_le_bytes([*a, *b]), u32::from_le_bytes([*c, *d, *e, *f]), 0.0);
    bytes.as_chunks::<6>().0.iter().map(pair)
}

fn bytes(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(trace.sums().len() * 14);
    for (at, (place, sum)) in trace.sums().iter().enumerate() {
        write(&mut bytes, *place, *sum, trace.weights().map(|weights| weights[at]));
    }
    bytes
}

/// Adds the bytes of the trace with these places, marks and weights; those of one place follow each other.
pub(super) fn add_bytes(bytes: &mut Vec<u8>, entries: impl Iterator<Item = (u16, u64, f64)>, weighs: bool) {
    let mut whole: Option<(u16, u64, f64)> = None;
    let mut add = |(place, marks, weight): (u16, u64, f64)| {
        let sum = Trace::reduced(marks);
        if sum != 0 {
            write(bytes, place, sum, weighs.then_some(weight));
        }
    };
    for entry in entries {
        match &mut whole {
            Some((place, marks, weight)) if *place == entry.0 => {
                (*marks, *weight) = (marks.wrapping_add(entry.1), *weight + entry.2);
            }
            _ => whole.replace(entry).into_iter().for_each(&mut add),
        }
    }
    whole.into_iter().for_each(add);
}

fn write(bytes: &mut Vec<u8>, place: u16, sum: u32, weight: Option<f64>) {
    bytes.extend_from_slice(&place.to_le_bytes());
    bytes.extend_from_slice(&sum.to_le_bytes());
    if let Some(weight) = weight {
        bytes.extend_from_slice(&weight.to_le_bytes());
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Traced {
    key: MarkKey,
    weighs: bool,
    signature: Signature,
}

impl Traced {
    fn groups(&self) -> Traces {
        Traces { key: self.key, weighs: self.weighs, groups: Vec::new(), entries: 0 }
    }
}

impl AggregateUDFImpl for Traced {
    fn name(&self) -> &'static str {
        "_trace"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::Binary, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.groups()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups()))
    }
}

/// Traces as the engine drives them: of each group the place and the sum of marks of each row, or, where there are more
/// rows than places, of each place.
#[derive(Debug)]
struct Traces {
    key: MarkKey,
    weighs: bool,
    groups: Vec<Vec<Entry>>,
    /// All that the groups hold, together.
    entries: usize,
}

impl Traces {
    fn resize(&mut self, groups: usize) {
        if self.groups.len() < groups {
            self.groups.resize(groups, Vec::new());
        }
    }

    fn add(&mut self, group: usize, entries: impl IntoIterator<Item = Entry>) {
        let held = &mut self.groups[group];
        let before = held.len();
        for entry in entries {
            if held.len() >= 2 * TRACE_PLACES {
                let trace = traced(std::mem::take(held).into_iter(), self.weighs);
                *held = self::entries(&bytes(&trace), self.weighs).collect();
            }
            held.push(entry);
        }
        self.entries = (self.entries + held.len()).saturating_sub(before);
    }

    fn take(
        &mut self,
        values: &[ArrayRef],
        groups: impl Iterator<Item = usize>,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let [entities, marks, weights @ ..] = values else {
            return Err(DataFusionError::Internal("a trace is of an entity and marks".to_owned()));
        };
        let weights = weights.first().and_then(|weights| weights.as_primitive_opt::<Float64Type>());
        let hashes = self.key.hashes(std::slice::from_ref(entities), entities.len())?;
        let marks = marks.as_primitive::<Int64Type>();
        for (row, group) in groups.enumerate() {
            let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if counts && marks.is_valid(row) {
                let sum = Trace::reduced(marks.value(row).cast_unsigned());
                let weight = weights.filter(|weights| weights.is_valid(row)).map_or(0.0, |weights| weights.value(row));
                self.add(group, [((hashes[row] as usize % TRACE_PLACES) as u16, sum, weight)]);
            }
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let emitted: Vec<Vec<Entry>> = match emit_to {
            EmitTo::All => std::mem::take(&mut self.groups),
            EmitTo::First(count) => self.groups.drain(..count.min(self.groups.len())).collect(),
        };
        let mut traces = BinaryBuilder::new();
        for held in emitted {
            self.entries = self.entries.saturating_sub(held.len());
            traces.append_value(bytes(&traced(held.into_iter(), self.weighs)));
        }
        Arc::new(traces.finish())
    }

    fn join(&mut self, values: &[ArrayRef], groups: impl Iterator<Item = usize>) -> Result<()> {
        let states = values.first().and_then(|states| states.as_binary_opt::<i32>());
        let states = states.ok_or_else(|| DataFusionError::Internal("the state of a trace is none".to_owned()))?;
        for (state, group) in states.iter().zip(groups) {
            self.add(group, entries(state.unwrap_or_default(), self.weighs));
        }
        Ok(())
    }
}

impl GroupsAccumulator for Traces {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.resize(total_num_groups);
        self.take(values, group_indices.iter().copied(), opt_filter)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.emit(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.resize(total_num_groups);
        self.join(values, group_indices.iter().copied())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut alone = Self { key: self.key, weighs: self.weighs, groups: vec![Vec::new(); rows], entries: 0 };
        alone.take(values, 0..rows, opt_filter)?;
        Ok(vec![alone.emit(EmitTo::All)])
    }

    fn size(&self) -> usize {
        // A list may have twice the room that it needs.
        self.groups.capacity() * size_of::<Vec<Entry>>() + 2 * self.entries * size_of::<Entry>()
    }
}

impl Accumulator for Traces {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.resize(1);
        let rows = values.first().map_or(0, |column| column.len());
        self.take(values, std::iter::repeat_n(0, rows), None)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.resize(1);
        ScalarValue::try_from_array(&self.emit(EmitTo::All), 0)
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.resize(1);
        Ok(vec![ScalarValue::try_from_array(&self.emit(EmitTo::All), 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.resize(1);
        let rows = states.first().map_or(0, |column| column.len());
        self.join(states, std::iter::repeat_n(0, rows))
    }
}
