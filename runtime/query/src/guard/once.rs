//! Groups with their evidence in one pass over the rows.

use arrow::datatypes::DataType;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, col, lit};
use domicile_policy::{TRACE_PLACES, Verdict};

use super::about::{About, Trail, Version, VersionColumns, Weight};
use super::evidence::{Condition, Layout, Number, SumOf, TrailOf, ValueOf, VersionOf, WeightOf, evidence};
use super::plan::{Additive, Asked, Grouping, Guarded, Traced, guard, key, value};
use super::{GuardColumns, TraceColumn, ValueColumns};
use crate::QueryError;
use crate::fragment::aggregate_function;

/// Where a group needs no more than this part of a trace's places, a group of as many entities as there are places has
/// far more places than it needs, wherever they are.
const NEEDED_PART: u64 = 8;

/// The groups of `input` with what was asked of each, and their evidence. None where anything in it is of a kind that
/// has to be aggregated by entity first.
///
/// # Errors
/// Where the plan cannot be made.
pub(super) fn at_once(
    input: &LogicalPlan,
    about: &About,
    asked: &Asked<'_>,
    verdict: &Verdict,
    traced: &Traced,
) -> Result<Option<Guarded>, QueryError> {
    let mut columns = Columns { input, exprs: Vec::new(), layout: Layout::default() };
    columns.layout.shared = verdict.dominance_percent < 100;
    columns.layout.by_places = verdict.minimum_entities <= TRACE_PLACES as u64 / NEEDED_PART;
    let Grouping { keys, aggregates, linear } = asked.grouping;
    for ((aggregate, kind), linear) in aggregates.iter().zip(asked.kinds).zip(linear) {
        if !linear {
            let Some(value) = columns.value(aggregate, *kind)? else { return Ok(None) };
            columns.layout.values.push(value);
        }
    }
    let mut measures = Vec::with_capacity(about.measures.len());
    for measure in &about.measures {
        let column = col(measure.column.clone());
        let value = if measure.is_number {
            columns.sum(&column)?.map(ValueOf::Measure)
        } else {
            Some(ValueOf::Rows { condition: columns.there(&column)?, shared: false })
        };
        let Some(value) = value else { return Ok(None) };
        measures.push(value);
    }
    let trails = traced.trails.iter().map(|trail| columns.trail(trail, &measures)).collect::<Vec<_>>();
    let Columns { exprs, mut layout, .. } = columns;
    layout.trails = trails;
    layout.values.extend(measures);
    layout.versions = about.versions.iter().map(version).collect();
    let versions = about.versions.iter().flat_map(|version| version.columns().iter().cloned().map(col));
    let of = [col(about.entity.clone())].into_iter().chain(versions).chain(exprs).collect();
    let guards = guards(&layout, &traced.trails);
    beside(input.clone(), keys, aggregates, evidence(traced.key, layout, of), guards).map(Some)
}

/// The groups of `input`, where nobody needs company: a group is released as soon as it has any rows.
///
/// # Errors
/// Where the plan cannot be made.
pub(super) fn counted(input: LogicalPlan, group: &[Expr], aggregates: &[Expr]) -> Result<Guarded, QueryError> {
    let columns = GuardColumns { entities: 0, traces: Vec::new(), values: Vec::new() };
    beside(input, group, aggregates, count(lit(1_i64)), columns)
}

/// What was asked of each group, and one more column.
fn beside(
    input: LogicalPlan,
    group: &[Expr],
    aggregates: &[Expr],
    evidence: Expr,
    columns: GuardColumns,
) -> Result<Guarded, QueryError> {
    let names = (0..group.len()).map(key).chain((0..aggregates.len()).map(value)).chain([guard(0)]);
    let aggregates: Vec<Expr> = aggregates.iter().cloned().chain([evidence.alias(guard(0))]).collect();
    let plan = LogicalPlanBuilder::from(input).aggregate(group.to_vec(), aggregates)?.build()?;
    let named = plan.schema().columns().into_iter().zip(names).map(|(column, name)| col(column).alias(name));
    let named: Vec<Expr> = named.collect();
    let plan = LogicalPlanBuilder::from(plan).project(named)?.build()?;
    Ok(Guarded { plan, names: vec![guard(0)], columns })
}

fn version(version: &Version) -> VersionOf {
    match &version.columns {
        VersionColumns::Row(columns) => VersionOf::Row { columns: columns.len() },
        VersionColumns::Marks(_) => VersionOf::Marks,
    }
}

/// Where in the evidence what is.
fn guards(layout: &Layout, trails: &[Trail]) -> GuardColumns {
    let mut columns = 1..;
    let mut next = || columns.next().unwrap_or_default();
    let trace = |trail: &Trail, column| TraceColumn {
        pool: trail.pool.clone(),
        of: trail.of.clone(),
        beside: trail.beside.clone(),
        column,
        weighs: trail.weight.is_some(),
    };
    let traces = trails.iter().map(|trail| trace(trail, next())).collect();
    let value =
        |value: &ValueOf| ValueColumns { present: next(), weights: value.is_shared(layout).then(|| (next(), next())) };
    let values = layout.values.iter().map(value).collect();
    GuardColumns { entities: 0, traces, values }
}

/// What the evidence is of, as far as it is known.
struct Columns<'i> {
    input: &'i LogicalPlan,
    exprs: Vec<Expr>,
    layout: Layout,
}

impl Columns<'_> {
    /// None where the aggregate is not plainly one of all rows.
    fn value(&mut self, aggregate: &Expr, kind: Additive) -> Result<Option<ValueOf>, QueryError> {
        let params = &aggregate_function(aggregate)?.params;
        let plain = params.filter.is_none() && !params.distinct && params.order_by.is_empty();
        let [argument] = params.args.as_slice() else { return Ok(None) };
        Ok(match kind {
            _ if !plain => None,
            Additive::Count => Some(ValueOf::Rows { condition: self.there(argument)?, shared: true }),
            Additive::Sum => self.sum(argument)?.map(ValueOf::Sum),
            Additive::Min | Additive::Max => None,
        })
    }

    fn column(&mut self, expr: &Expr) -> usize {
        place_of(&mut self.exprs, expr.clone())
    }

    /// The rows that have something in a column; none where all have.
    fn there(&mut self, column: &Expr) -> Result<Option<usize>, QueryError> {
        if !column.nullable(self.input.schema().as_ref())? {
            return Ok(None);
        }
        let condition = Condition { column: self.column(column), not_zero: false };
        Ok(Some(place_of(&mut self.layout.conditions, condition)))
    }

    /// None where it is of numbers that are not added up here.
    fn sum(&mut self, column: &Expr) -> Result<Option<usize>, QueryError> {
        let Some(number) = number(&column.get_type(self.input.schema().as_ref())?) else { return Ok(None) };
        let sum = SumOf { column: self.column(column), number };
        Ok(Some(place_of(&mut self.layout.sums, sum)))
    }

    fn trail(&mut self, trail: &Trail, measures: &[ValueOf]) -> TrailOf {
        let condition = trail.counts.as_ref().map(|counts| {
            let condition = Condition { column: self.column(&counts.value), not_zero: counts.not_zero };
            place_of(&mut self.layout.conditions, condition)
        });
        let weight = trail.weight.map(|weight| match weight {
            Weight::Measure(measure) => match measures[measure] {
                ValueOf::Measure(sum) => WeightOf::Sum(sum),
                _ => WeightOf::Rows,
            },
            Weight::Rows => WeightOf::Rows,
        });
        TrailOf { version: trail.version, condition, weight }
    }
}

/// Where the item is, or comes to be.
fn place_of<T: PartialEq>(all: &mut Vec<T>, one: T) -> usize {
    all.iter().position(|other| *other == one).unwrap_or_else(|| {
        all.push(one);
        all.len() - 1
    })
}

fn number(kind: &DataType) -> Option<Number> {
    match kind {
        DataType::Decimal128(_, scale) => Some(Number::Whole { scale: *scale }),
        DataType::Float32 | DataType::Float64 => Some(Number::Float),
        DataType::UInt64 => None,
        kind if kind.is_integer() => Some(Number::Whole { scale: 0 }),
        _ => None,
    }
}
