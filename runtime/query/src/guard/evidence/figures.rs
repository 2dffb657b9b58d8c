//! What becomes of what is kept: counts, shares and traces of groups.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, Float64Builder, Int64Builder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;
use domicile_policy::TRACE_PLACES;

use super::kept::Kept;
use super::layout::{Layout, ROWS, TrailOf, ValueOf, WeightOf};
use crate::guard::exact::EXACT_MAX;
use crate::guard::trace::add_bytes;

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

/// The evidence of the first groups, which have to be added up.
///
/// # Errors
/// Where the columns cannot be put together.
pub(super) fn figures(kept: &Kept, layout: &Layout, groups: usize) -> Result<StructArray> {
    let mut entities = Int64Builder::new();
    let mut traces: Vec<BinaryBuilder> = layout.trails.iter().map(|_| BinaryBuilder::new()).collect();
    let mut values: Vec<Columns> = layout.values.iter().map(|_| Columns::default()).collect();
    let mut trace = Vec::new();
    for group in 0..groups {
        let of = Figures { kept, places: kept.places(group), entries: kept.entries(group) };
        entities.append_value(of.entities());
        for (trail, column) in layout.trails.iter().zip(&mut traces) {
            trace.clear();
            add_bytes(&mut trace, of.trace(*trail), trail.weight.is_some());
            column.append_value(&trace);
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
    kept: &'k Kept,
    places: Option<u32>,
    /// Of each entity, or of each place.
    entries: Range<usize>,
}

impl Figures<'_> {
    /// All of them, or at least as many as there are places and as there were before places were counted.
    fn entities(&self) -> i64 {
        self.entries.len().max(self.places.unwrap_or(0) as usize) as i64
    }

    /// How many rows of an entity meet the condition.
    fn rows(&self, entry: usize, condition: Option<usize>) -> u64 {
        let missing = condition.map_or(0, |condition| self.kept.word(self.kept.at.missing(condition), entry));
        self.kept.word(ROWS, entry).saturating_sub(missing)
    }

    /// A sum without signs.
    fn gross(&self, entry: usize, sum: usize) -> f64 {
        self.kept.number(self.kept.at.gross(sum), entry) * self.kept.at.scale(sum)
    }

    /// A sum with its sign; no number where it may not be exact as a float, so that nobody takes it for one that hardly
    /// differs from another.
    fn net(&self, entry: usize, sum: usize) -> f64 {
        let at = &self.kept.at;
        let exact = !at.is_whole(sum) || self.kept.number(at.gross(sum), entry) < EXACT_MAX;
        match at.net(sum).filter(|_| exact) {
            Some(net) => self.kept.number(net, entry) * at.scale(sum),
            None => f64::NAN,
        }
    }

    fn value(&self, value: ValueOf) -> Figure {
        let entries = self.entries.clone();
        match value {
            ValueOf::Rows { condition, .. } => {
                let rows = entries.clone().map(|entry| self.rows(entry, condition) as f64);
                let figure = figure(rows, |rows| rows > 0.0);
                let all = entries.clone().all(|entry| self.rows(entry, condition) == self.kept.word(ROWS, entry));
                // All entities have part in a count of all rows, wherever their places are.
                if all { Figure { present: self.entities(), ..figure } } else { figure }
            }
            ValueOf::Sum(sum) => {
                let net = self.kept.at.net(sum).unwrap_or(self.kept.at.gross(sum));
                let scale = self.kept.at.scale(sum);
                let nets = entries.clone().map(|entry| self.kept.number(net, entry).abs() * scale);
                let figure = figure(nets, |net| net != 0.0);
                // What those of one place contribute may cancel out.
                let gross = entries.map(|entry| self.gross(entry, sum));
                let top = if self.places.is_some() { largest(gross) } else { figure.top };
                Figure { top, ..figure }
            }
            ValueOf::Measure(sum) => {
                let is_some = |gross: f64| gross > 0.0 || gross.is_nan();
                figure(entries.map(|entry| self.gross(entry, sum)), is_some)
            }
        }
    }

    /// The places, marks and weights of a trace.
    fn trace(&self, trail: TrailOf) -> impl Iterator<Item = (u16, u64, f64)> {
        let (kept, at) = (self.kept, &self.kept.at);
        let missing = trail.condition.map(|condition| at.missing_marks(condition, trail.version));
        let entry = move |entry: usize| {
            let rows = self.rows(entry, trail.condition);
            let missing = missing.map_or(0, |missing| kept.word(missing, entry));
            let marks = kept.word(at.marks(trail.version), entry).wrapping_sub(missing);
            let weight = match trail.weight {
                None => 0.0,
                Some(WeightOf::Rows) => rows as f64,
                Some(WeightOf::Sum(sum)) => self.net(entry, sum),
            };
            let place = (kept.entity(entry) % TRACE_PLACES as u64) as u16;
            (rows > 0).then_some((place, marks, weight))
        };
        self.entries.clone().filter_map(entry)
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
