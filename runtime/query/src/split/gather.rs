//! The partial results of one aggregate's fragments as one table, and the aggregate that makes the whole of it.

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{
    Aggregate, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder, cast, col, ident, lit, when,
};

use super::grouped::Draft;
use super::recipe::{Part, Recipe};
use super::{Partial, dedup, restore};
use crate::QueryError;

/// Which fragment a row of partial results is of, where there are several.
const FRAGMENT: &str = "_fragment";

/// Fragments with their partial results.
pub(super) struct Gathered {
    /// Group keys of the question, the first of each fragment.
    keys: usize,
    parts: Vec<Answered>,
}

struct Answered {
    draft: Draft,
    /// The group keys, conditions included.
    groups: Vec<Expr>,
    partial: Partial,
    /// Types of the columns.
    kinds: Vec<DataType>,
}

/// A column of the partial results: of which fragment, and which one.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    Key(usize),
    Condition(Expr),
    Value(usize, usize),
}

impl Gathered {
    pub(super) fn new(keys: usize) -> Self {
        Self { keys, parts: Vec::new() }
    }

    /// Takes in a fragment that is grouped by `groups` and whose columns have these types.
    pub(super) fn add(&mut self, draft: Draft, groups: Vec<Expr>, partial: Partial, kinds: Vec<DataType>) {
        self.parts.push(Answered { draft, groups, partial, kinds });
    }

    /// The plan that gives what `aggregate` would have given.
    pub(super) fn merge(self, aggregate: &Aggregate, recipes: &[Recipe]) -> Result<LogicalPlan, QueryError> {
        let (mut merging, mut finals) = (Vec::new(), Vec::new());
        let schema = &aggregate.schema;
        let first = schema.fields().len() - recipes.len();
        for (index, recipe) in recipes.iter().enumerate() {
            let mut merged = Vec::with_capacity(recipe.parts.len());
            for part in &recipe.parts {
                let whole = part.merge.of(self.value(part)?);
                merged.push(col(Column::from_name(whole.schema_name().to_string())));
                merging.push(whole);
            }
            let (qualifier, field) = schema.qualified_field(first + index);
            let value = recipe.finish.of(&merged, field.data_type())?;
            finals.push(restore(value, field.data_type(), qualifier, field.name()));
        }
        let key = |index: usize| self.column(&Place::Key(index));
        let mut outputs = Vec::with_capacity(schema.fields().len());
        for index in 0..first {
            let (qualifier, field) = schema.qualified_field(index);
            let column = if index < self.keys { key(index) } else { ident(Aggregate::INTERNAL_GROUPING_ID) };
            outputs.push(restore(column, field.data_type(), qualifier, field.name()));
        }
        outputs.extend(finals);
        let group = match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(sets)] => vec![Expr::GroupingSet(regrouped(sets, &key))],
            _ => (0..self.keys).map(key).collect(),
        };
        Ok(self.table()?.aggregate(group, dedup(&merging))?.project(outputs)?.build()?)
    }

    /// What a part is in a row of the table.
    fn value(&self, part: &Part) -> Result<Expr, QueryError> {
        let fragment = self.parts.iter().position(|answered| answered.computes(part)).unwrap_or_default();
        let condition = |condition: &Expr| self.column(&self.place_of(condition));
        let value = |computed: &Expr| {
            let place =
                self.parts.get(fragment).and_then(|one| one.draft.aggregates.iter().position(|it| it == computed));
            place.map_or_else(|| computed.clone(), |place| self.column(&Place::Value(fragment, place)))
        };
        let value = part.computed.together(&condition, &value)?;
        if self.parts.len() == 1 {
            return Ok(value);
        }
        // Rows of other fragments have nothing of it, not even a constant.
        Ok(when(ident(FRAGMENT).eq(lit(fragment as i64)), value).end()?)
    }

    fn place_of(&self, condition: &Expr) -> Place {
        let groups = self.parts.first().map(|part| &part.groups[..self.keys]).unwrap_or_default();
        groups.iter().position(|key| key == condition).map_or_else(|| Place::Condition(condition.clone()), Place::Key)
    }

    /// The column of the table that a place is.
    fn column(&self, place: &Place) -> Expr {
        match self.parts.as_slice() {
            [one] => one.column(0, place).unwrap_or_else(|| lit(ScalarValue::Null)),
            _ => ident(self.name(place)),
        }
    }

    fn name(&self, place: &Place) -> String {
        match place {
            Place::Key(index) => format!("g{index}"),
            Place::Condition(condition) => {
                let place = self.conditions().iter().position(|known| known == condition);
                format!("c{}", place.unwrap_or_default())
            }
            Place::Value(fragment, index) => format!("a{fragment}_{index}"),
        }
    }

    fn conditions(&self) -> Vec<Expr> {
        let all: Vec<Expr> = self.parts.iter().flat_map(|part| part.groups[self.keys..].iter().cloned()).collect();
        dedup(&all)
    }

    fn table(&self) -> Result<LogicalPlanBuilder, QueryError> {
        if let [one] = self.parts.as_slice() {
            return Ok(one.partial.scan.clone());
        }
        let keys = (0..self.keys).map(Place::Key);
        let places = keys.chain(self.conditions().into_iter().map(Place::Condition));
        let values = self.parts.iter().enumerate().flat_map(|(fragment, part)| {
            (0..part.draft.aggregates.len()).map(move |index| Place::Value(fragment, index))
        });
        let places: Vec<Place> = places.chain(values).collect();
        let mut table: Option<LogicalPlanBuilder> = None;
        for (fragment, part) in self.parts.iter().enumerate() {
            let mut columns = vec![lit(fragment as i64).alias(FRAGMENT)];
            for place in &places {
                let column = match part.column(fragment, place) {
                    Some(column) => column,
                    None => cast(lit(ScalarValue::Null), self.kind(place)),
                };
                columns.push(column.alias(self.name(place)));
            }
            let rows = part.partial.scan.clone().project(columns)?;
            table = Some(match table {
                Some(table) => table.union(rows.build()?)?,
                None => rows,
            });
        }
        table.ok_or_else(|| QueryError::Execution("an aggregate has no fragment".to_owned()))
    }

    fn kind(&self, place: &Place) -> DataType {
        let kind = self.parts.iter().enumerate().find_map(|(fragment, part)| {
            let index = part.index(fragment, place)?;
            part.kinds.get(index).cloned()
        });
        kind.unwrap_or(DataType::Null)
    }
}

impl Answered {
    fn computes(&self, part: &Part) -> bool {
        let mut all = true;
        let has = |computed: &Expr| {
            let is_constant = !matches!(computed, Expr::AggregateFunction(_));
            is_constant || self.draft.aggregates.contains(computed)
        };
        let mut check = |computed: &Expr| {
            all &= has(computed);
            Ok::<_, QueryError>(())
        };
        // Looking never fails.
        let _ = part.computed.map(&mut check);
        let conditions = part.computed.conditions();
        let mut own = conditions.into_iter().all(|condition| self.draft.conditions.contains(condition));
        // Somebody who is in several groups must not be added up over them.
        own &= !part.alone || self.draft.conditions.len() == part.computed.conditions().len();
        all && own
    }

    /// The number of the column that a place is, if the fragment has it.
    fn index(&self, fragment: usize, place: &Place) -> Option<usize> {
        match place {
            Place::Key(index) => Some(*index),
            Place::Condition(condition) => self.groups.iter().position(|group| group == condition),
            Place::Value(of, index) => (*of == fragment).then_some(self.groups.len() + index),
        }
    }

    fn column(&self, fragment: usize, place: &Place) -> Option<Expr> {
        let index = self.index(fragment, place)?;
        let groups = self.groups.len();
        let name = if index < groups { format!("g{index}") } else { format!("a{}", index - groups) };
        Some(self.partial.column(&name))
    }
}

/// The same grouping sets over the keys of the partial results.
fn regrouped(sets: &GroupingSet, key: &dyn Fn(usize) -> Expr) -> GroupingSet {
    let distinct = sets.distinct_expr();
    let place = |expr: &Expr| distinct.iter().position(|known| *known == expr).map_or_else(|| expr.clone(), key);
    let all = |exprs: &[Expr]| exprs.iter().map(place).collect::<Vec<_>>();
    match sets {
        GroupingSet::Rollup(exprs) => GroupingSet::Rollup(all(exprs)),
        GroupingSet::Cube(exprs) => GroupingSet::Cube(all(exprs)),
        GroupingSet::GroupingSets(sets) => GroupingSet::GroupingSets(sets.iter().map(|set| all(set)).collect()),
    }
}
