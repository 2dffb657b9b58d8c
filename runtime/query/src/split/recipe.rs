//! What each aggregate of a question is made of: parts that regions compute and that merge, and how it comes of them.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min, sum};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};

use super::branches::Branches;
use super::finish::Finish;
use crate::QueryError;
use crate::aggregate::plugin_aggregate;
use crate::expression::Flow;
use crate::fragment::{aggregate_function, counts_rows};

/// Whether conditions inside aggregates become group keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// Each side of a condition is a group of its own.
    AsKeys,
    /// So is each value of a column that reference data is looked up by.
    AndLookupsAsKeys,
    /// They stay where they are, and need a permission.
    Inside,
}

/// One aggregate of a question.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) parts: Vec<Part>,
    pub(super) finish: Finish,
}

/// A part of an aggregate that merges.
#[derive(Debug)]
pub(super) struct Part {
    /// What a region computes in each case: an aggregate, or a constant.
    pub(super) computed: Branches<Expr>,
    /// How what is computed of groups comes together.
    pub(super) merge: Merge,
    /// Whether it may not be added up over groups, since somebody may be in several of them.
    pub(super) alone: bool,
}

/// How parts come together.
#[derive(Debug, Clone)]
pub(super) enum Merge {
    Sum,
    Min,
    Max,
    /// States of a plugin's aggregate, by the call that makes them.
    States(Box<AggregateFunction>),
}

impl Merge {
    pub(super) fn of(&self, parts: Expr) -> Expr {
        match self {
            Self::Sum => sum(parts),
            Self::Min => min(parts),
            Self::Max => max(parts),
            Self::States(call) => match plugin_aggregate(call) {
                Some(aggregate) => aggregate.merge_of(parts),
                None => parts,
            },
        }
    }
}

/// Makes recipes over rows of this schema with these flows.
pub(super) struct Recipes<'r> {
    pub(super) schema: &'r DFSchema,
    pub(super) flows: &'r [Flow],
    pub(super) conditions: Conditions,
}

impl Recipes<'_> {
    /// The recipe of one aggregate.
    ///
    /// # Errors
    /// Names the aggregate that does not merge.
    pub(super) fn of(&self, expr: &Expr) -> Result<Recipe, QueryError> {
        if let Some(recipe) = self.distinct_rows(expr)? {
            return Ok(recipe);
        }
        if let Some((function, finish)) = super::finish::moments_of(expr) {
            return self.moments(function, finish);
        }
        let function = aggregate_function(expr)?;
        if let Some(aggregate) = plugin_aggregate(function) {
            let states = Branches::Always(aggregate.state_of(function));
            let merge = Merge::States(Box::new(function.clone()));
            return Ok(Recipe { parts: vec![Part { computed: states, merge, alone: false }], finish: Finish::Whole });
        }
        if function.params.distinct {
            return Err(QueryError::AcrossRegions { what: "count(DISTINCT …)".to_owned() });
        }
        let argument = argument(function);
        let (parts, finish) = match function.func.name() {
            "count" => (vec![self.count(function, argument)?], Finish::Count),
            "avg" => (vec![self.sum(function, argument.clone())?, self.count(function, argument)?], Finish::Mean),
            "min" => (vec![self.extreme(function, argument, min, Merge::Min)?], Finish::Whole),
            "max" => (vec![self.extreme(function, argument, max, Merge::Max)?], Finish::Whole),
            _ => (vec![self.sum(function, argument)?], Finish::Whole),
        };
        Ok(Recipe { parts, finish })
    }

    /// How many rows of another table, or how many entities, are behind a group: these are counted apart.
    fn distinct_rows(&self, expr: &Expr) -> Result<Option<Recipe>, QueryError> {
        let Expr::AggregateFunction(function) = unaliased(expr) else { return Ok(None) };
        let is_distinct = match function.func.name() {
            "count" => function.params.distinct,
            "approx_distinct" => function.params.args.len() == 1,
            _ => false,
        };
        if !is_distinct || !function.params.order_by.is_empty() || function.params.null_treatment.is_some() {
            return Ok(None);
        }
        let branches = self.branches(&argument(function))?;
        let (column, condition) = match &branches {
            Branches::Always(column) => (column, None),
            Branches::Either { condition, then, otherwise } => match (then.as_ref(), otherwise.as_ref()) {
                (Branches::Always(column), Branches::Always(Expr::Literal(nothing, _))) if nothing.is_null() => {
                    (column, Some(condition.clone()))
                }
                _ => return Ok(None),
            },
        };
        let Expr::AggregateFunction(counted) = count_distinct(column.clone()) else { return Ok(None) };
        if !counts_rows(&counted, self.schema, self.flows)? {
            return Ok(None);
        }
        let filter = function.params.filter.as_deref().cloned();
        let condition = [condition, filter].into_iter().flatten().reduce(Expr::and);
        let part = self.filtered(counted, condition, |counted| Branches::Always(Expr::AggregateFunction(counted)));
        let part = Part { computed: part, merge: Merge::Sum, alone: true };
        Ok(Some(Recipe { parts: vec![part], finish: Finish::Count }))
    }

    fn filtered(
        &self,
        mut call: AggregateFunction,
        condition: Option<Expr>,
        computed: impl Fn(AggregateFunction) -> Branches<Expr>,
    ) -> Branches<Expr> {
        match condition {
            Some(condition) if self.conditions != Conditions::Inside => {
                computed(call).only_if(condition, lit(ScalarValue::Int64(None)))
            }
            condition => {
                call.params.filter = condition.map(Box::new);
                computed(call)
            }
        }
    }

    fn sum(&self, call: &AggregateFunction, argument: Expr) -> Result<Part, QueryError> {
        self.part(call, argument, Merge::Sum, &|value| match constant(&value) {
            Some(nothing) if nothing.is_null() => Ok(None),
            Some(zero) if is_zero(zero) => {
                let kind = sum(value).get_type(self.schema)?;
                Ok(Some(cast(lit(0_i64), kind)))
            }
            _ => Ok(Some(sum(value))),
        })
    }

    fn count(&self, call: &AggregateFunction, argument: Expr) -> Result<Part, QueryError> {
        self.part(call, argument, Merge::Sum, &|value| match constant(&value) {
            Some(nothing) if nothing.is_null() => Ok(Some(lit(0_i64))),
            Some(_) => Ok(Some(count(lit(1_i64)))),
            None => Ok(Some(count(value))),
        })
    }

    fn extreme(
        &self,
        call: &AggregateFunction,
        argument: Expr,
        of: fn(Expr) -> Expr,
        merge: Merge,
    ) -> Result<Part, QueryError> {
        self.part(call, argument, merge, &|value| match constant(&value) {
            Some(nothing) if nothing.is_null() => Ok(None),
            Some(_) => Ok(Some(value)),
            None => Ok(Some(of(value))),
        })
    }

    /// Sums of powers and products, from which variances and correlations come.
    fn moments(&self, call: &AggregateFunction, finish: Finish) -> Result<Recipe, QueryError> {
        let number = |argument: &Expr| cast(argument.clone(), DataType::Float64);
        let arguments: Vec<Expr> = call.params.args.iter().map(number).collect();
        let nullable = |argument: &Expr| argument.nullable(self.schema);
        let parts = match arguments.as_slice() {
            [x] => vec![
                self.sum(call, x.clone())?,
                self.sum_of_products(call, x.clone(), None)?,
                self.count(call, x.clone())?,
            ],
            // Only pairs count.
            [x, y] if !nullable(x)? && !nullable(y)? => vec![
                self.sum(call, x.clone())?,
                self.sum_of_products(call, x.clone(), None)?,
                self.count(call, x.clone())?,
                self.sum(call, y.clone())?,
                self.sum_of_products(call, y.clone(), None)?,
                self.sum_of_products(call, x.clone(), Some(y.clone()))?,
            ],
            _ => return Err(QueryError::AcrossRegions { what: format!("`{}` of these", call.func.name()) }),
        };
        Ok(Recipe { parts, finish })
    }

    fn sum_of_products(&self, call: &AggregateFunction, x: Expr, y: Option<Expr>) -> Result<Part, QueryError> {
        match y {
            Some(y) => self.sum(call, x * y),
            None => self.part(call, x, Merge::Sum, &|value| Ok(Some(sum(value.clone() * value)))),
        }
    }

    /// A part of `call`: what `of` makes of its argument in each case.
    fn part(
        &self,
        call: &AggregateFunction,
        argument: Expr,
        merge: Merge,
        of: &dyn Fn(Expr) -> Result<Option<Expr>, QueryError>,
    ) -> Result<Part, QueryError> {
        let condition = call.params.filter.as_deref().cloned();
        let values = self.branches(&argument)?;
        let part = |value: &Expr| Ok::<_, QueryError>(of(value.clone())?.unwrap_or_else(|| lit(ScalarValue::Null)));
        let mut computed = values.map(&mut { part })?;
        if let Some(condition) = condition {
            computed = match self.conditions {
                Conditions::AsKeys | Conditions::AndLookupsAsKeys => {
                    computed.only_if(condition, lit(ScalarValue::Null))
                }
                Conditions::Inside => computed.map(&mut |part| Ok::<_, QueryError>(only(part.clone(), &condition)))?,
            };
        }
        Ok(Part { computed, merge, alone: false })
    }

    fn branches(&self, argument: &Expr) -> Result<Branches<Expr>, QueryError> {
        Ok(match self.conditions {
            Conditions::AsKeys | Conditions::AndLookupsAsKeys => Branches::of(argument, self.schema)?,
            Conditions::Inside => Branches::Always(argument.clone()),
        })
    }
}

fn only(part: Expr, condition: &Expr) -> Expr {
    match part {
        Expr::AggregateFunction(mut call) => {
            call.params.filter = Some(Box::new(condition.clone()));
            Expr::AggregateFunction(call)
        }
        other => other,
    }
}

fn argument(function: &AggregateFunction) -> Expr {
    function.params.args.first().cloned().unwrap_or_else(|| lit(1_i64))
}

pub(super) fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

fn constant(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        Expr::Cast(cast) => constant(&cast.expr),
        _ => None,
    }
}

fn is_zero(value: &ScalarValue) -> bool {
    value.data_type().is_numeric() && ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero == *value)
}
