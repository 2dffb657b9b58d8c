//! What becomes of what is kept: counts, shares and traces of groups.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, Float64Builder, Int64Builder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;
use domicile_policy::{TRACE_PLACES, Trace};

use super::kept::{Kept, OfGroup};
use super::layout::{Layout, Number, ROWS, TrailOf, ValueOf, WeightOf};
use crate::guard::trace::{Entry, bytes, traced};

/// The columns of the evidence: how many entities there are, the traces, and of each value how many entities have part
/// in it, and, where shares are limited, the largest contribution and all of them.
pub(super) fn fields(layout: &Layout) -> Fields {
    let mut fields = vec![Field::new("entities", DataType::Int64, false)];
    let traces = 0..layout.trails.len();
    fields.extend(traces.map(|at| Field::new(format!("trace{at}"), DataType::Binary, false)));
    for (at, value) in layout.values.iter().enumerate() {
        fields.push(Field::new(format!("present{at}"), DataType::Int64, false));
        if value.is_shared(layout) {
            fields.push(Field::new(format!("top{at}"), DataType::Float64, false));
            fields.push(Field::new(format!("whole{at}"), DataType::Float64, false));
        }
    }
    fields.into()
}

/// The evidence of the first groups.
///
/// # Errors
/// Where the columns cannot be put together.
pub(super) fn figures(kept: &Kept, layout: &Layout, groups: usize) -> Result<StructArray> {
    let mut entities = Int64Builder::new();
    let mut traces: Vec<BinaryBuilder> = layout.trails.iter().map(|_| BinaryBuilder::new()).collect();
    let mut values: Vec<Columns> = layout.values.iter().map(|_| Columns::default()).collect();
    for group in 0..groups {
        let mut entries = kept.entries(group);
        // Once, instead of for each of its traces.
        entries.sort_unstable_by_key(|(entity, _)| entity % TRACE_PLACES as u64);
        let of = Figures { layout, kept, of: kept.group(group), entries };
        entities.append_value(of.entities());
        for (trail, column) in layout.trails.iter().zip(&mut traces) {
            column.append_value(bytes(&of.trace(*trail)));
        }
        for (value, columns) in layout.values.iter().zip(&mut values) {
            let Figure { present, top, whole } = of.value(*value);
            columns.present.append_value(present);
            columns.top.append_value(top);
            columns.whole.append_value(whole);
        }
    }
    let mut columns: Vec<ArrayRef> = vec![Arc::new(entities.finish())];
    columns.extend(traces.into_iter().map(|mut column| Arc::new(column.finish()) as ArrayRef));
    for (value, mut built) in layout.values.iter().zip(values) {
        columns.push(Arc::new(built.present.finish()));
        if value.is_shared(layout) {
            columns.push(Arc::new(built.top.finish()));
            columns.push(Arc::new(built.whole.finish()));
        }
    }
    Ok(StructArray::try_new_with_length(fields(layout), columns, None, groups)?)
}

#[derive(Default)]
struct Columns {
    present: Int64Builder,
    top: Float64Builder,
    whole: Float64Builder,
}

/// Of one value: how many entities have part in it, at least; what no entity contributes more than; and what all of them
/// contribute, at least.
struct Figure {
    present: i64,
    top: f64,
    whole: f64,
}

struct Figures<'k> {
    layout: &'k Layout,
    kept: &'k Kept,
    of: OfGroup<'k>,
    /// Of each entity, or of each place.
    entries: Vec<(u64, &'k [u64])>,
}

impl Figures<'_> {
    /// All of them, or at least as many as there are places and as there were before places were counted.
    fn entities(&self) -> i64 {
        self.entries.len().max(self.of.places().unwrap_or(0) as usize) as i64
    }

    /// How many rows of an entity meet the condition.
    fn rows(&self, words: &[u64], condition: Option<usize>) -> u64 {
        let missing = condition.map_or(0, |condition| words[self.kept.words.missing(condition)]);
        words[ROWS].saturating_sub(missing)
    }

    fn value(&self, value: ValueOf) -> Figure {
        let words = self.entries.iter().map(|(_, words)| *words);
        match value {
            ValueOf::Rows { condition, .. } => {
                let figure = figure(words.clone().map(|words| self.rows(words, condition) as f64), |rows| rows > 0.0);
                let all = words.clone().all(|words| self.rows(words, condition) == words[ROWS]);
                // All entities have part in a count of all rows, wherever their places are.
                if all { Figure { present: self.entities(), ..figure } } else { figure }
            }
            ValueOf::Sum(sum) => {
                let scale = self.scale(sum);
                let figure = figure(words.clone().map(|words| self.of.sum(words, sum).abs() * scale), |net| net != 0.0);
                // What those of one place contribute may cancel out.
                let gross = words.map(|words| self.of.gross(words, sum) * scale);
                let top = if self.of.places().is_some() { largest(gross) } else { figure.top };
                Figure { top, ..figure }
            }
            ValueOf::Measure(sum) => {
                let scale = self.scale(sum);
                let is_some = |gross: f64| gross > 0.0 || gross.is_nan();
                figure(words.map(|words| self.of.gross(words, sum) * scale), is_some)
            }
        }
    }

    fn trace(&self, trail: TrailOf) -> Trace {
        let at = self.kept.words;
        let entry = |(entity, words): &(u64, &[u64])| -> Option<Entry> {
            let rows = self.rows(words, trail.condition);
            let missing = trail.condition.map_or(0, |condition| words[at.missing(condition) + 1 + trail.version]);
            let marks = words[at.marks(trail.version)].wrapping_sub(missing);
            let weight = match trail.weight {
                None => 0.0,
                Some(WeightOf::Rows) => rows as f64,
                Some(WeightOf::Sum(sum)) => self.of.gross(words, sum) * self.scale(sum),
            };
            let place = (entity % TRACE_PLACES as u64) as u16;
            (rows > 0).then(|| (place, Trace::reduced(marks), weight))
        };
        traced(self.entries.iter().filter_map(entry), trail.weight.is_some())
    }

    /// What one of the sum's last digits is worth.
    fn scale(&self, sum: usize) -> f64 {
        match self.layout.sums[sum].number {
            Number::Whole { scale } => 10_f64.powi(-i32::from(scale)),
            Number::Float => 1.0,
        }
    }
}

fn figure(weights: impl Iterator<Item = f64> + Clone, is_some: impl Fn(f64) -> bool) -> Figure {
    let present = weights.clone().filter(|weight| is_some(*weight)).count() as i64;
    Figure { present, top: largest(weights.clone()), whole: weights.sum() }
}

/// What is no number is the largest.
fn largest(weights: impl Iterator<Item = f64>) -> f64 {
    weights.fold(0.0, |top, weight| if weight > top || weight.is_nan() { weight } else { top })
}
