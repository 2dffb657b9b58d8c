//! The shape of a fragment: what one region computes alone. Recognized in the same way by the region that asks and by
//! the region that answers.

use std::collections::BTreeSet;

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, Projection};
use domicile_policy::{ColumnUse, Form, FragmentFacts, PolicySet};
use domicile_sandbox::PluginId;
use domicile_types::Residency;

use crate::QueryError;
use crate::aggregate::plugin_aggregate;
use crate::catalog::Catalog;
use crate::expression::{CASE, CAST, Flow, LOOKUP, Lookup, PRODUCT, column_flow, expression};
use crate::flow::{Fixed, Flows, node_name};
use crate::noise::{self, Figure};
use crate::split::aggregate_below;

/// Aggregate functions whose partial results merge and do not carry rows.
pub(crate) const MERGEABLE: [&str; 5] = ["count", "sum", "avg", "min", "max"];

/// What tells values apart and needs no permission in group keys.
const STEPS: [&str; 6] = [CASE, CAST, "floor", "ceil", "round", "trunc"];

/// A fragment over the datasets of one region.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Groups and aggregates over `input`.
    Groups {
        input: LogicalPlan,
        group: Vec<Expr>,
        aggregates: Vec<Expr>,
        /// Of each aggregate, whether it follows from sums of columns as they are.
        linear: Vec<bool>,
    },
    /// Rows as they are.
    Rows(LogicalPlan),
}

/// A shape with the evidence that admission judges.
#[derive(Debug)]
pub(crate) struct Fragment {
    pub(crate) shape: Shape,
    pub(crate) facts: FragmentFacts,
    /// Columns that its filters fix, from which homes are pruned.
    pub(crate) fixed: Vec<Fixed>,
    /// Columns that only name rows: to put those together which live together, or to count them.
    pub(crate) joined: BTreeSet<ColumnUse>,
    /// Of each aggregate, what noise on it depends on.
    pub(crate) figures: Vec<Figure>,
}

impl Fragment {
    /// The fragment that `aggregate` is, if its input can be computed by each region alone.
    ///
    /// # Errors
    /// Where the input has something that needs rows of several regions, or an aggregate does not merge.
    pub(crate) fn of_aggregate(aggregate: &Aggregate, catalog: &Catalog) -> Result<Self, QueryError> {
        let flows = Flows::of(&aggregate.input, catalog)?;
        let schema = aggregate.input.schema();
        let (mut facts, mut joined) = base_facts(&flows, Form::Aggregate);
        let mut keys = BTreeSet::new();
        for expr in &aggregate.group_expr {
            if matches!(expr, Expr::GroupingSet(_)) {
                return Err(QueryError::AcrossRegions { what: "GROUPING SETS, ROLLUP and CUBE".to_owned() });
            }
            let flow = expression(expr, schema, &flows.outputs)?;
            extend(&mut facts.group_by, flow.columns());
            joined.extend(flow.named.iter().cloned());
            keys.extend(flow.lookup());
            // Whatever a key is computed by, the group has to be large enough; only inside an aggregate could a
            // condition or a step pick out fewer entities than the group has.
            facts.functions.extend(flow.functions.into_iter().filter(|name| !STEPS.contains(&name.as_str())));
        }
        let mut linear = Vec::with_capacity(aggregate.aggr_expr.len());
        for expr in &aggregate.aggr_expr {
            let follows = is_linear(expr, schema, &flows.outputs)?;
            linear.push(follows);
            // Whoever chooses the numbers that something is weighed by chooses what the verdict on it tells.
            if !follows && weighs(expr, schema, &flows.outputs)? {
                facts.functions.insert(PRODUCT.to_owned());
            }
            aggregate_facts(expr, schema, &flows.outputs, &mut facts, &mut joined)?;
            // What is looked up by a column tells its values apart, but where all of a group have the same.
            if !lookups(expr, schema, &flows.outputs)?.is_subset(&keys) {
                facts.functions.insert(LOOKUP.to_owned());
            }
        }
        let shape = Shape::Groups {
            input: aggregate.input.as_ref().clone(),
            group: aggregate.group_expr.clone(),
            aggregates: aggregate.aggr_expr.clone(),
            linear,
        };
        let figures = aggregate.aggr_expr.iter().map(|expr| noise::figure(expr, schema, &flows.outputs));
        Ok(Self { shape, facts, figures: figures.collect::<Result<_, _>>()?, fixed: flows.fixed, joined })
    }

    /// The fragment that hands over the rows of `plan`.
    ///
    /// # Errors
    /// Where the plan needs rows of several regions.
    pub(crate) fn of_rows(plan: &LogicalPlan, catalog: &Catalog) -> Result<Self, QueryError> {
        if let Some(aggregate) = aggregate_below(plan)? {
            return Err(QueryError::AcrossRegions { what: node_name(&aggregate).to_owned() });
        }
        let flows = Flows::of(plan, catalog)?;
        let (mut facts, joined) = base_facts(&flows, Form::Rows);
        for flow in &flows.outputs {
            extend(&mut facts.outputs, flow.columns());
            facts.functions.extend(flow.functions.iter().cloned());
        }
        Ok(Self { shape: Shape::Rows(plan.clone()), facts, fixed: flows.fixed, joined, figures: Vec::new() })
    }

    /// The input of a query plugin whose result crosses a border. What the code makes of it is no row any more, but may
    /// hold anything of what it saw: every column that goes in counts as one that an aggregate is computed from. What
    /// the input calls needs no permission beside the plugin's own, whose digest covers the input.
    ///
    /// # Errors
    /// Where the plan needs rows of several regions.
    pub(crate) fn of_input(plan: LogicalPlan, catalog: &Catalog, plugin: &PluginId) -> Result<Self, QueryError> {
        let (Self { mut facts, fixed, joined, .. }, _) = Self::recognize(&plan, catalog)?;
        let shown = [std::mem::take(&mut facts.outputs), std::mem::take(&mut facts.group_by)];
        extend(&mut facts.measures, shown.iter().flatten());
        facts.form = Form::Aggregate;
        facts.functions = BTreeSet::from([plugin.name.to_string()]);
        facts.plugins.insert(plugin.digest);
        Ok(Self { shape: Shape::Rows(plan), facts, fixed, joined, figures: Vec::new() })
    }

    /// The input of a query plugin whose result stays in the region that computes it: nothing is to be judged.
    pub(crate) fn kept(plan: LogicalPlan, plugin: &PluginId) -> Self {
        let facts = FragmentFacts {
            datasets: BTreeSet::new(),
            form: Form::Aggregate,
            outputs: Vec::new(),
            group_by: Vec::new(),
            measures: Vec::new(),
            filters: Vec::new(),
            functions: BTreeSet::from([plugin.name.to_string()]),
            plugins: BTreeSet::from([plugin.digest]),
        };
        Self { shape: Shape::Rows(plan), facts, fixed: Vec::new(), joined: BTreeSet::new(), figures: Vec::new() }
    }

    /// Whether rows of this table decide on what the fragment computes, of the tables whose rows it still has: those that
    /// it measures, and those that are not parents of others, whose rows say how often a parent counts.
    pub(crate) fn decides(&self, table: &str, tables: &BTreeSet<String>, policies: &PolicySet) -> bool {
        let is_parent = self.facts.datasets.iter().filter(|dataset| tables.contains(dataset.as_str())).any(|dataset| {
            matches!(policies.residency(dataset), Some(Residency::Follows { dataset, .. }) if dataset.as_str() == table)
        });
        !is_parent || self.facts.measures.iter().any(|measure| measure.dataset.as_str() == table)
    }

    /// Group keys that it has; they are its first columns.
    pub(crate) fn keys(&self) -> usize {
        match &self.shape {
            Shape::Groups { group, .. } => group.len(),
            Shape::Rows(_) => 0,
        }
    }

    /// The fragment that an analyzed fragment text is: an aggregate whose outputs are only renamed, or rows.
    /// Returns the names of the outputs with the index of the column that each one renames.
    ///
    /// # Errors
    /// As the other two.
    pub(crate) fn recognize(plan: &LogicalPlan, catalog: &Catalog) -> Result<(Self, Vec<(usize, String)>), QueryError> {
        if !crate::split::has_resident(plan)? {
            return Err(QueryError::AcrossRegions { what: "a fragment that reads no resident data".to_owned() });
        }
        if let LogicalPlan::Aggregate(aggregate) = plan {
            let names = plan.schema().fields().iter().map(|field| field.name().clone()).enumerate();
            return Ok((Self::of_aggregate(aggregate, catalog)?, names.collect()));
        }
        if let LogicalPlan::Projection(projection) = plan
            && let LogicalPlan::Aggregate(aggregate) = projection.input.as_ref()
        {
            return Ok((Self::of_aggregate(aggregate, catalog)?, renamed(projection)?));
        }
        let names = plan.schema().fields().iter().map(|field| field.name().clone()).enumerate().collect();
        Ok((Self::of_rows(plan, catalog)?, names))
    }
}

fn renamed(projection: &Projection) -> Result<Vec<(usize, String)>, QueryError> {
    let schema = projection.input.schema();
    let index = |column: &Column| schema.index_of_column(column).map_err(QueryError::from);
    let rename = |expr: &Expr| match expr {
        Expr::Column(column) => Ok((index(column)?, column.name.clone())),
        Expr::Alias(alias) => match alias.expr.as_ref() {
            Expr::Column(column) => Ok((index(column)?, alias.name.clone())),
            other => {
                Err(QueryError::AcrossRegions { what: format!("a fragment that computes {other} after grouping") })
            }
        },
        other => Err(QueryError::AcrossRegions { what: format!("a fragment that computes {other} after grouping") }),
    };
    projection.expr.iter().map(rename).collect()
}

/// What holds of the whole fragment, and the columns that only name rows: those which live together are put together by
/// them, or counted.
fn base_facts(flows: &Flows, form: Form) -> (FragmentFacts, BTreeSet<ColumnUse>) {
    let mut joined = flows.named.clone();
    let mut facts = FragmentFacts {
        datasets: flows.resident.iter().map(|instance| instance.dataset.clone()).collect(),
        form,
        outputs: Vec::new(),
        group_by: Vec::new(),
        measures: Vec::new(),
        filters: Vec::new(),
        functions: BTreeSet::new(),
        plugins: BTreeSet::new(),
    };
    for condition in &flows.conditions {
        facts.functions.extend(condition.flow.functions.iter().cloned());
        joined.extend(condition.flow.named.iter().cloned());
        if condition.joins_homes() {
            joined.extend(condition.flow.columns().cloned());
        } else {
            extend(&mut facts.filters, condition.flow.columns());
        }
    }
    joined.extend(flows.keys.named.iter().chain(flows.outputs.iter().flat_map(|flow| &flow.named)).cloned());
    extend(&mut facts.group_by, flows.keys.columns());
    facts.functions.extend(flows.keys.functions.iter().filter(|name| !STEPS.contains(&name.as_str())).cloned());
    for mapper in &flows.mappers {
        facts.functions.insert(mapper.name.to_string());
        extend(&mut facts.measures, mapper.inputs.iter());
    }
    (facts, joined)
}

fn extend<'c>(list: &mut Vec<ColumnUse>, columns: impl Iterator<Item = &'c ColumnUse>) {
    for column in columns {
        if !list.contains(column) {
            list.push(column.clone());
        }
    }
}

fn aggregate_facts(
    expr: &Expr,
    schema: &DFSchema,
    input: &[Flow],
    facts: &mut FragmentFacts,
    named: &mut BTreeSet<ColumnUse>,
) -> Result<(), QueryError> {
    let function = aggregate_function(expr)?;
    match plugin_aggregate(function) {
        // Its answers and its states are bytes that the code alone decides on.
        Some(aggregate) => {
            facts.functions.insert(aggregate.base().to_owned());
            facts.plugins.insert(aggregate.digest());
        }
        None => drop(facts.functions.insert(function.func.name().to_lowercase())),
    }
    let counts_rows = counts_rows(function, schema, input)?;
    if function.params.distinct && !counts_rows {
        return Err(QueryError::AcrossRegions { what: "count(DISTINCT …)".to_owned() });
    }
    for argument in &function.params.args {
        let flow = expression(argument, schema, input)?;
        named.extend(flow.named.iter().cloned());
        if counts_rows {
            named.extend(flow.values);
            continue;
        }
        extend(&mut facts.measures, flow.values.iter());
        extend(&mut facts.filters, flow.conditions.iter());
        facts.functions.extend(flow.products().map(str::to_owned));
        facts.functions.extend(flow.functions);
    }
    if let Some(filter) = &function.params.filter {
        let flow = expression(filter, schema, input)?;
        extend(&mut facts.filters, flow.columns());
        named.extend(flow.named.iter().cloned());
        facts.functions.extend(flow.functions);
        facts.functions.insert(CASE.to_owned());
    }
    Ok(())
}

/// Whether the aggregate is a sum that follows from those of columns as they are: over the same rows as theirs.
fn is_linear(expr: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<bool, QueryError> {
    let Some((argument, false)) = summed(expr)? else { return Ok(false) };
    if !expression(argument, schema, input)?.is_linear() {
        return Ok(false);
    }
    let columns: Vec<&Column> = argument.column_refs().into_iter().collect();
    let is_one = match columns.as_slice() {
        [column] => column_flow(column, schema, input)?.direct.is_some(),
        _ => false,
    };
    Ok(is_one || !argument.nullable(schema)?)
}

/// Whether the aggregate is a sum of resident columns with constants or reference data in it.
fn weighs(expr: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<bool, QueryError> {
    let Some((argument, _)) = summed(expr)? else { return Ok(false) };
    let flow = expression(argument, schema, input)?;
    let by_others = flow.constants.are_there() || !flow.origins.is_empty();
    Ok(!flow.values.is_empty() && by_others)
}

/// What a sum of the engine's own is of, and whether it has a filter.
fn summed(expr: &Expr) -> Result<Option<(&Expr, bool)>, QueryError> {
    let function = aggregate_function(expr)?;
    Ok(match function.params.args.as_slice() {
        [argument] if function.func.name() == "sum" && plugin_aggregate(function).is_none() => {
            Some((argument, function.params.filter.is_some()))
        }
        _ => None,
    })
}

/// The resident columns that reference data in an aggregate were looked up by.
///
/// # Errors
/// Where it is none, or does not merge.
pub(crate) fn lookups(expr: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<BTreeSet<Lookup>, QueryError> {
    let mut all = BTreeSet::new();
    let params = match expr {
        Expr::Alias(alias) => return lookups(&alias.expr, schema, input),
        Expr::AggregateFunction(function) => &function.params,
        other => return Err(QueryError::AcrossRegions { what: other.to_string() }),
    };
    for argument in params.args.iter().chain(params.filter.as_deref()) {
        all.extend(expression(argument, schema, input)?.lookups);
    }
    Ok(all)
}

/// Whether it counts values of a column that names rows: how many there are tells no name. Distinct ones merge too, since
/// a row has one home and one entity.
pub(crate) fn counts_rows(function: &AggregateFunction, schema: &DFSchema, input: &[Flow]) -> Result<bool, QueryError> {
    match function.params.args.as_slice() {
        [Expr::Column(column)] if plugin_aggregate(function).is_none() && function.func.name() == "count" => {
            Ok(column_flow(column, schema, input)?.names_a_row())
        }
        _ => Ok(false),
    }
}

/// The aggregate function of one aggregate expression, if its partial results merge.
///
/// # Errors
/// Names the aggregate that does not.
pub(crate) fn aggregate_function(expr: &Expr) -> Result<&AggregateFunction, QueryError> {
    match expr {
        Expr::Alias(alias) => aggregate_function(&alias.expr),
        Expr::AggregateFunction(function) => {
            let name = function.func.name().to_lowercase();
            let distinct_rows = name == "count" && matches!(function.params.args.as_slice(), [Expr::Column(_)]);
            let plain = (!function.params.distinct || distinct_rows)
                && function.params.order_by.is_empty()
                && function.params.null_treatment.is_none();
            let merges = match plugin_aggregate(function) {
                Some(aggregate) => aggregate.takes_rows(),
                None => MERGEABLE.contains(&name.as_str()),
            };
            if plain && merges {
                return Ok(function);
            }
            let what = if function.params.distinct { format!("{name}(DISTINCT …)") } else { format!("`{name}`") };
            Err(QueryError::AcrossRegions { what })
        }
        other => Err(QueryError::AcrossRegions { what: other.to_string() }),
    }
}
