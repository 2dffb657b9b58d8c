//! One aggregate of a question as fragments, and the rest that makes it of their answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan};
use domicile_types::limits::CONDITION_KEYS_MAX;

use super::gather::Gathered;
use super::recipe::{Conditions, Part, Recipe, Recipes};
use super::{Splitter, numbered};
use crate::QueryError;
use crate::expression::{Lookup, keeps_differences};
use crate::flow::Flows;
use crate::fragment::{Fragment, lookups};

/// A fragment in the making: its keys beside those of the question, and what it computes.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) conditions: Vec<Expr>,
    pub(super) aggregates: Vec<Expr>,
}

impl Draft {
    fn compute(&mut self, part: &Part) {
        let mut add = |computed: &Expr| {
            if matches!(computed, Expr::AggregateFunction(_)) && !self.aggregates.contains(computed) {
                self.aggregates.push(computed.clone());
            }
            Ok::<_, QueryError>(())
        };
        // Adding never fails.
        let _ = part.computed.map(&mut add);
    }
}

impl Splitter<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Transformed<LogicalPlan>, QueryError> {
        let flows = Flows::of(&aggregate.input, self.catalog)?;
        let (drafts, recipes) = self.drafts(aggregate, &flows)?;
        let keys: Vec<Expr> = grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().cloned().collect();
        let is_rolled_up = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
        if is_rolled_up && recipes.iter().flat_map(|recipe| &recipe.parts).any(|part| part.alone) {
            let what = "count(DISTINCT …) with GROUPING SETS, ROLLUP or CUBE".to_owned();
            return Err(QueryError::AcrossRegions { what });
        }
        let mut gathered = Gathered::new(keys.len());
        for draft in drafts {
            // A condition that is a key already is no other.
            let mut all = keys.clone();
            all.extend(draft.conditions.iter().filter(|condition| !keys.contains(condition)).cloned());
            let plan = Aggregate::try_new(Arc::clone(&aggregate.input), all.clone(), draft.aggregates.clone())?;
            let fragment = Fragment::of_aggregate(&plan, self.catalog)?;
            let plan = LogicalPlan::Aggregate(plan);
            let groups = all.len();
            let name = |index: usize| if index < groups { format!("g{index}") } else { format!("a{}", index - groups) };
            let partial = self.push(fragment, &plan, numbered(&plan, name))?;
            let schema = plan.schema();
            let kinds: Vec<DataType> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
            gathered.add(draft, all, partial, kinds);
        }
        let plan = gathered.merge(aggregate, &recipes)?;
        Ok(Transformed::new(plan, true, TreeNodeRecursion::Jump))
    }

    /// The fragments that the recipes need. What may not be added up over groups goes into a fragment that has no more
    /// groups than it may have.
    fn drafts(&mut self, aggregate: &Aggregate, flows: &Flows) -> Result<(Vec<Draft>, Vec<Recipe>), QueryError> {
        if self.conditions != Conditions::Inside {
            let found = drafts(aggregate, flows, self.conditions)?;
            let is_small = |draft: &Draft| draft.conditions.len() <= CONDITION_KEYS_MAX;
            if found.0.iter().all(is_small) && found.0.len() <= CONDITION_KEYS_MAX {
                return Ok(found);
            }
        }
        drafts(aggregate, flows, Conditions::Inside)
    }
}

fn drafts(
    aggregate: &Aggregate,
    flows: &Flows,
    conditions: Conditions,
) -> Result<(Vec<Draft>, Vec<Recipe>), QueryError> {
    let schema = aggregate.input.schema();
    let recipes = Recipes { schema, flows: &flows.outputs, conditions };
    let mut made = aggregate.aggr_expr.iter().map(|expr| recipes.of(expr)).collect::<Result<Vec<_>, _>>()?;
    for part in made.iter_mut().flat_map(|recipe| &mut recipe.parts) {
        part.computed.decide(schema)?;
    }
    one_of_each_name(&mut made, schema)?;
    let conditions_of = |part: &Part| {
        let mut unique: Vec<Expr> = Vec::new();
        part.computed.conditions().into_iter().for_each(|condition| {
            if !unique.contains(condition) {
                unique.push(condition.clone());
            }
        });
        unique
    };
    let mut drafts: Vec<Draft> = Vec::new();
    let (alone, summed): (Vec<&Part>, Vec<&Part>) =
        made.iter().flat_map(|recipe| &recipe.parts).partition(|part| part.alone);
    if alone.is_empty() || !summed.is_empty() {
        let mut draft = Draft::default();
        for part in summed {
            draft.compute(part);
            let new: Vec<Expr> = conditions_of(part).into_iter().filter(|it| !draft.conditions.contains(it)).collect();
            draft.conditions.extend(new);
        }
        if conditions == Conditions::AndLookupsAsKeys {
            draft.conditions.extend(looked_up(&draft.aggregates, schema, flows)?);
        }
        drafts.push(draft);
    }
    for part in alone {
        let conditions = conditions_of(part);
        let place = drafts.iter().position(|draft| draft.conditions == conditions);
        let place = place.unwrap_or_else(|| {
            drafts.push(Draft { conditions, aggregates: Vec::new() });
            drafts.len() - 1
        });
        drafts[place].compute(part);
    }
    Ok((drafts, made))
}

/// The columns by which reference data in aggregates were looked up, where all of them are at hand: as group keys they
/// make each number that was looked up the same for all of a group.
fn looked_up(aggregates: &[Expr], schema: &DFSchema, flows: &Flows) -> Result<Vec<Expr>, QueryError> {
    let mut all = BTreeSet::new();
    for expr in aggregates {
        all.extend(lookups(expr, schema, &flows.outputs)?);
    }
    let column = |lookup: &Lookup| {
        let place = flows.outputs.iter().position(|flow| flow.lookup().as_ref() == Some(lookup))?;
        Some(Expr::Column(Column::from(schema.qualified_field(place))))
    };
    Ok(all.iter().map(column).collect::<Option<_>>().unwrap_or_default())
}

/// The engine names an aggregate as if nothing in it was cast. Of several with one name, which differ in casts alone that
/// keep every difference, the plainest stands for all.
fn one_of_each_name(recipes: &mut [Recipe], schema: &DFSchema) -> Result<(), QueryError> {
    let mut all: Vec<(String, Expr)> = Vec::new();
    for part in recipes.iter().flat_map(|recipe| &recipe.parts) {
        let mut note = |computed: &Expr| {
            if matches!(computed, Expr::AggregateFunction(_)) {
                all.push((computed.schema_name().to_string(), computed.clone()));
            }
            Ok::<_, QueryError>(())
        };
        part.computed.map(&mut note)?;
    }
    for part in recipes.iter_mut().flat_map(|recipe| &mut recipe.parts) {
        let mut one = |computed: &Expr| {
            let name = computed.schema_name().to_string();
            let alike: Vec<&Expr> = all.iter().filter(|(other, _)| *other == name).map(|(_, expr)| expr).collect();
            let casts = alike.iter().map(|expr| casts(expr, schema)).collect::<Result<Vec<_>, _>>()?;
            let differ = alike.iter().any(|expr| *expr != computed);
            if differ && casts.iter().any(|casts| !casts.keep_differences) {
                let what = format!("`{name}` over values of several types");
                return Err(QueryError::AcrossRegions { what });
            }
            let plainest = alike.iter().zip(&casts).min_by_key(|(_, casts)| casts.number).map(|(expr, _)| *expr);
            Ok(plainest.unwrap_or(computed).clone())
        };
        part.computed = part.computed.map(&mut one)?;
    }
    Ok(())
}

struct Casts {
    number: usize,
    keep_differences: bool,
}

fn casts(expr: &Expr, schema: &DFSchema) -> Result<Casts, QueryError> {
    let mut casts = Casts { number: 0, keep_differences: true };
    expr.apply(|part| {
        if let Expr::Cast(cast) = part {
            casts.number += 1;
            casts.keep_differences &= keeps_differences(&cast.expr.get_type(schema)?, cast.field.data_type());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(casts)
}
