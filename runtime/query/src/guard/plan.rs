//! Groups with the evidence that the guard needs.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::functions::expr_fn::abs;
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min, sum};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, col, ident, lit, when,
};
use domicile_policy::Verdict;

use super::about::{About, Made, Measure, Trail, Weight};
use super::exact::{exact, exact_max};
use super::mark::MarkKey;
use super::once::{at_once, counted};
use super::support::Supports;
use super::trace::trace;
use super::{GuardColumns, TraceColumn, ValueColumns};
use crate::QueryError;
use crate::aggregate::plugin_aggregate;
use crate::fragment::aggregate_function;

/// What is asked of groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grouping<'g> {
    pub(crate) keys: &'g [Expr],
    pub(crate) aggregates: &'g [Expr],
    /// Of each aggregate, whether it follows from sums of columns as they are.
    pub(crate) linear: &'g [bool],
}

/// A plan whose columns are group keys, values, and then the guard's own.
pub(crate) struct Guarded {
    pub(crate) plan: LogicalPlan,
    /// The guard's own columns, which come last.
    pub(crate) names: Vec<String>,
    pub(crate) columns: GuardColumns,
}

/// Aggregates whose value over a group comes of those over its entities.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Additive {
    Count,
    Sum,
    Min,
    Max,
}

/// The groups of `input`, whose rows are `about` somebody. With a key for marks, each group has a trace too.
///
/// # Errors
/// Where a value cannot be guarded as the verdict wants it.
pub(crate) fn plan(
    input: LogicalPlan,
    about: &About,
    grouping: Grouping<'_>,
    verdict: &Verdict,
    marks: Option<MarkKey>,
) -> Result<Guarded, QueryError> {
    let Grouping { keys, aggregates, .. } = grouping;
    let limits_shares = verdict.dominance_percent < 100;
    let kinds = aggregates.iter().map(additive).collect::<Result<Vec<_>, _>>()?;
    let all_additive = kinds.iter().copied().collect::<Option<Vec<_>>>();
    if all_additive.is_none() && limits_shares && kinds.iter().any(Option::is_some) {
        let what = "an aggregate of a plugin beside others, where one contributor's share is limited";
        return Err(QueryError::AcrossRegions { what: what.to_owned() });
    }
    let made = Made {
        of_rows: aggregates.is_empty() || all_additive.is_none() || aggregates.iter().any(counts_rows),
        of_counts: kinds.contains(&Some(Additive::Count)) || all_additive.is_none(),
        of_sums: kinds.contains(&Some(Additive::Sum)),
        // Of what a plugin puts together nobody knows a share.
        shared: limits_shares && all_additive.is_some(),
        supports: supports(aggregates, &input)?,
    };
    let trails = marks.map(|key| about.trails(key, &made)).transpose()?.unwrap_or_default();
    let traced = marks.map(|key| Traced { key, trails });
    match all_additive {
        // Where one alone may leave, whatever it contributes, nothing has to be known but that there is somebody.
        Some(_) if verdict.minimum_entities <= 1 && !limits_shares => counted(input, keys, aggregates),
        Some(kinds) => {
            let asked = Asked { grouping, kinds: &kinds };
            let once = traced.as_ref().map(|traced| at_once(&input, about, &asked, verdict, traced)).transpose()?;
            match once.flatten() {
                Some(guarded) => Ok(guarded),
                None => by_entity(input, about, &asked, limits_shares, traced.as_ref()),
            }
        }
        None => by_group(input, about, keys, aggregates, traced.as_ref()),
    }
}

/// What is asked of groups, with the kind of each aggregate.
pub(super) struct Asked<'a> {
    pub(super) grouping: Grouping<'a>,
    pub(super) kinds: &'a [Additive],
}

/// How traces are made.
pub(super) struct Traced {
    pub(super) key: MarkKey,
    pub(super) trails: Vec<Trail>,
}

/// Whether an aggregate is of rows, whatever is in them.
fn counts_rows(expr: &Expr) -> bool {
    aggregate_function(expr).is_ok_and(|function| !function.params.args.iter().any(Expr::any_column_refs))
}

/// The rows that the aggregates are over.
pub(super) fn supports(aggregates: &[Expr], input: &LogicalPlan) -> Result<Supports, QueryError> {
    let functions = aggregates.iter().map(aggregate_function).collect::<Result<Vec<_>, _>>()?;
    Ok(Supports::of(functions.into_iter(), input.schema())?)
}

/// None for an aggregate whose states only a plugin understands.
fn additive(expr: &Expr) -> Result<Option<Additive>, QueryError> {
    let function = aggregate_function(expr)?;
    match (plugin_aggregate(function), function.func.name()) {
        (Some(_), _) => Ok(None),
        (None, "count") => Ok(Some(Additive::Count)),
        (None, "sum") => Ok(Some(Additive::Sum)),
        (None, "min") => Ok(Some(Additive::Min)),
        (None, "max") => Ok(Some(Additive::Max)),
        (None, other) => {
            Err(QueryError::AcrossRegions { what: format!("`{other}` as it is, instead of sums and counts,") })
        }
    }
}

pub(super) fn key(index: usize) -> String {
    format!("_key{index}")
}

fn part(index: usize) -> String {
    format!("_part{index}")
}

pub(super) fn guard(index: usize) -> String {
    format!("_guard{index}")
}

pub(super) fn value(index: usize) -> String {
    format!("_value{index}")
}

const ENTITY: &str = "_of";

fn raw(index: usize) -> String {
    format!("_raw{index}")
}

fn net(index: usize) -> String {
    format!("_net{index}")
}

fn marks(index: usize) -> String {
    format!("_marks{index}")
}

fn rows(index: usize) -> String {
    format!("_rows{index}")
}

/// First what each entity adds to each group, and then the groups of that.
pub(super) fn by_entity(
    input: LogicalPlan,
    about: &About,
    asked: &Asked<'_>,
    limits_shares: bool,
    traced: Option<&Traced>,
) -> Result<Guarded, QueryError> {
    let Asked { grouping: Grouping { keys: group, aggregates, linear }, kinds } = *asked;
    let parts = parts(input, about, group, aggregates, traced)?;
    let mut guards = Guards::default();
    let entities = guards.add(count(lit(1_i64)));
    let traces = traces(traced, &mut guards);
    let measures = measured(about, limits_shares, &mut guards)?;
    let mut values = Vec::with_capacity(kinds.len());
    let mut wholes = Vec::with_capacity(kinds.len());
    for (index, kind) in kinds.iter().enumerate() {
        let part = ident(part(index));
        wholes.push(match kind {
            Additive::Count | Additive::Sum => sum(part.clone()),
            Additive::Min => min(part.clone()),
            Additive::Max => max(part.clone()),
        });
        // What follows from sums of the columns is judged by these alone: whoever asks may choose the numbers that it takes
        // to get from them to it, and would learn from each verdict.
        if linear[index] {
            continue;
        }
        let present = guards.add(count(lit(1_i64)).filter(has_part(*kind, &part)).build()?);
        let weights = match kind {
            Additive::Count | Additive::Sum if limits_shares => {
                let weight = weight(&part)?;
                Some((guards.add(max(weight.clone())), guards.add(sum(weight))))
            }
            _ => None,
        };
        values.push(ValueColumns { present, weights });
    }
    let names = guards.names();
    let keys: Vec<Expr> = (0..group.len()).map(|index| ident(key(index))).collect();
    let kept = keys.clone();
    let types = part_types(parts.schema(), kinds.len())?;
    let wholes = wholes.into_iter().enumerate().map(|(index, whole)| whole.alias(value(index)));
    let columns: Vec<Expr> = wholes.chain(guards.named()).collect();
    let plan = LogicalPlanBuilder::from(parts).aggregate(keys, columns)?;
    // A sum of sums is wider than a sum; the type is what the asking region expects.
    let whole = types.into_iter().enumerate().map(|(index, kind)| cast(ident(value(index)), kind).alias(value(index)));
    let released: Vec<Expr> = kept.into_iter().chain(whole).chain(names.iter().map(ident)).collect();
    let plan = plan.project(released)?.build()?;
    values.extend(measures);
    Ok(Guarded { plan, names, columns: GuardColumns { entities, traces, values } })
}

/// The traces of the groups, of what each entity adds.
fn traces(traced: Option<&Traced>, guards: &mut Guards) -> Vec<TraceColumn> {
    let Some(Traced { key, trails }) = traced else { return Vec::new() };
    let traces = trails.iter().enumerate().map(|(index, trail)| {
        let weight = trail.weight.map(|weight| weight.number(ident(rows(index)), |measure| ident(net(measure))));
        let weighs = weight.is_some();
        let column = guards.add(trace(*key, ident(ENTITY), ident(marks(index)), weight));
        TraceColumn { pool: trail.pool.clone(), of: trail.of.clone(), beside: trail.beside.clone(), column, weighs }
    });
    traces.collect()
}

/// What each entity adds to each group: keys, entity, parts of the values, marks.
fn parts(
    input: LogicalPlan,
    about: &About,
    group: &[Expr],
    aggregates: &[Expr],
    traced: Option<&Traced>,
) -> Result<LogicalPlan, QueryError> {
    let mut keys = group.to_vec();
    keys.push(col(about.entity.clone()));
    let names = (0..group.len()).map(key).chain([ENTITY.to_owned()]).chain((0..aggregates.len()).map(part));
    let trails: Vec<&Trail> = traced.iter().flat_map(|traced| &traced.trails).collect();
    // Two of them may be the same, and so need names at once.
    let marked = trails.iter().enumerate().map(|(index, trail)| Ok(trail.marks()?.alias(marks(index))));
    let marked: Vec<Expr> = marked.collect::<Result<_, QueryError>>()?;
    let counted = |(_, trail): &(usize, &&Trail)| trail.weight == Some(Weight::Rows);
    let (counted, row_counts): (Vec<String>, Vec<Expr>) = (trails.iter().enumerate().filter(counted))
        .map(|(index, trail)| Ok((rows(index), trail.rows()?.alias(rows(index)))))
        .collect::<Result<Vec<_>, QueryError>>()?
        .into_iter()
        .unzip();
    let names = names.chain((0..marked.len()).map(marks)).chain(counted).chain((0..about.measures.len()).map(raw));
    let mut names: Vec<String> = names.collect();
    let numbers: Vec<(usize, &Measure)> = about.measures.iter().enumerate().filter(|(_, one)| one.is_number).collect();
    names.extend(numbers.iter().map(|(index, _)| net(*index)));
    let raws = about.measures.iter().enumerate().map(|(index, measure)| {
        let column = col(measure.column.clone());
        let whole = if measure.is_number { sum(abs(cast(column, DataType::Float64))) } else { count(column) };
        whole.alias(raw(index))
    });
    let nets = numbers
        .iter()
        .map(|(index, measure)| sum(cast(col(measure.column.clone()), DataType::Float64)).alias(net(*index)));
    let limits =
        numbers.iter().map(|(_, one)| Ok(exact_max(&col(one.column.clone()).get_type(input.schema().as_ref())?)));
    let limits: Vec<f64> = limits.collect::<Result<_, QueryError>>()?;
    let all: Vec<Expr> = aggregates.iter().cloned().chain(marked).chain(row_counts).chain(raws).chain(nets).collect();
    let parts = LogicalPlanBuilder::from(input).aggregate(keys, all)?.build()?;
    let columns = parts.schema().columns().into_iter().zip(names).map(|(column, name)| col(column).alias(name));
    let columns: Vec<Expr> = columns.collect();
    let parts = LogicalPlanBuilder::from(parts).project(columns)?.build()?;
    exact(&parts, &numbers.iter().map(|(index, _)| (net(*index), raw(*index))).zip(limits).collect::<Vec<_>>())
}

/// What each entity has of the columns that the values are computed of, by themselves: in an expression a constant or
/// another column may cover up that one entity has nearly all of it.
fn measured(about: &About, limits_shares: bool, guards: &mut Guards) -> Result<Vec<ValueColumns>, QueryError> {
    let measured = about.measures.iter().enumerate().map(|(index, measure)| {
        let raw = ident(raw(index));
        let present = guards.add(count(lit(1_i64)).filter(raw.clone().gt(lit(0_i64))).build()?);
        let shared = limits_shares && measure.is_number;
        let weights = shared.then(|| (guards.add(max(raw.clone())), guards.add(sum(raw))));
        Ok(ValueColumns { present, weights })
    });
    measured.collect()
}

/// Whether an entity has part in a value: who adds nothing, or zero, is not among those who stand behind it.
fn has_part(kind: Additive, part: &Expr) -> Expr {
    match kind {
        Additive::Count => part.clone().gt(lit(0_i64)),
        Additive::Sum => part.clone().not_eq(lit(0_i64)),
        Additive::Min | Additive::Max => part.clone().is_not_null(),
    }
}

fn part_types(schema: &DFSchema, count: usize) -> Result<Vec<DataType>, QueryError> {
    let kind = |index| ident(part(index)).get_type(schema).map_err(QueryError::from);
    (0..count).map(kind).collect()
}

/// How much an entity adds, whichever way.
fn weight(part: &Expr) -> Result<Expr, QueryError> {
    let number = cast(part.clone(), DataType::Float64);
    Ok(when(number.clone().lt(lit(0.0)), lit(0.0) - number.clone()).otherwise(number)?)
}

/// The groups as they are, with entities counted: for states that only a plugin can put together.
fn by_group(
    input: LogicalPlan,
    about: &About,
    group: &[Expr],
    aggregates: &[Expr],
    traced: Option<&Traced>,
) -> Result<Guarded, QueryError> {
    let entity = || col(about.entity.clone());
    let mut guards = Guards::default();
    let entities = guards.add(count_distinct(entity()));
    let mut traces = Vec::new();
    for trail in traced.iter().flat_map(|traced| &traced.trails) {
        let key = traced.map_or(MarkKey(0), |traced| traced.key);
        let column = guards.add(trace(key, entity(), trail.mark_of_row()?, None));
        traces.push(TraceColumn {
            pool: trail.pool.clone(),
            of: trail.of.clone(),
            beside: trail.beside.clone(),
            column,
            weighs: false,
        });
    }
    let mut values = Vec::new();
    for aggregate in aggregates {
        for argument in &aggregate_function(aggregate)?.params.args {
            if argument.nullable(input.schema().as_ref())? {
                let present = argument.clone().is_not_null();
                let present = guards.add(count_distinct(entity()).filter(present).build()?);
                values.push(ValueColumns { present, weights: None });
            }
        }
    }
    let names = guards.names();
    let aggregates: Vec<Expr> = aggregates.iter().cloned().chain(guards.named()).collect();
    let plan = LogicalPlanBuilder::from(input).aggregate(group.to_vec(), aggregates)?.build()?;
    Ok(Guarded { plan, names, columns: GuardColumns { entities, traces, values } })
}

/// The guard's own columns, in order.
#[derive(Default)]
struct Guards(Vec<Expr>);

impl Guards {
    fn add(&mut self, column: Expr) -> usize {
        self.0.push(column);
        self.0.len() - 1
    }

    fn names(&self) -> Vec<String> {
        (0..self.0.len()).map(guard).collect()
    }

    fn named(self) -> impl Iterator<Item = Expr> {
        self.0.into_iter().enumerate().map(|(index, column)| column.alias(guard(index)))
    }
}
