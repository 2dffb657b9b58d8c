//! Conditions inside aggregates, brought outside: what an aggregate takes in each case.
//!
//! A condition that becomes a group key makes each of its sides a group of its own, which is guarded like any other.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Case, Expr, ExprSchemable, lit, when};

use arrow::datatypes::DataType;

/// Branches of one expression that are told apart; one with more stays as it is.
const BRANCHES_MAX: usize = 32;

/// Something that depends on conditions.
#[derive(Debug, Clone)]
pub(super) enum Branches<T> {
    /// The same in every case.
    Always(T),
    /// One thing where the condition is true, another where it is false or nothing.
    Either { condition: Expr, then: Box<Self>, otherwise: Box<Self> },
}

impl Branches<Expr> {
    /// What `expr` is worth in each case. An expression with too many cases is one of its own.
    ///
    /// # Errors
    /// Where `expr` has no type.
    pub(super) fn of(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        let plain = expr.clone().transform_up(|part| number_of_truth(part, schema))?.data;
        let mut left = BRANCHES_MAX;
        Ok(branches(&plain, schema, &mut left)?.unwrap_or_else(|| Self::Always(expr.clone())))
    }
}

impl<T> Branches<T> {
    /// The same where the condition is true, and `nothing` elsewhere.
    pub(super) fn only_if(self, condition: Expr, nothing: T) -> Self {
        Self::Either { condition, then: Box::new(self), otherwise: Box::new(Self::Always(nothing)) }
    }

    /// Makes every condition true or false: where it is nothing it counts as false, and needs no third group.
    ///
    /// # Errors
    /// Where a condition has no type.
    pub(super) fn decide(&mut self, schema: &DFSchema) -> Result<()> {
        if let Self::Either { condition, then, otherwise } = self {
            if condition.nullable(schema)? {
                // Not IS TRUE, which the engine's plans take for nothing or a value.
                *condition = when(condition.clone(), lit(true)).otherwise(lit(false))?;
            }
            then.decide(schema)?;
            otherwise.decide(schema)?;
        }
        Ok(())
    }

    /// Every condition, the outer ones first.
    pub(super) fn conditions(&self) -> Vec<&Expr> {
        match self {
            Self::Always(_) => Vec::new(),
            Self::Either { condition, then, otherwise } => {
                [condition].into_iter().chain(then.conditions()).chain(otherwise.conditions()).collect()
            }
        }
    }

    /// The same with something else in each branch.
    ///
    /// # Errors
    /// As `to`.
    pub(super) fn map<U, E>(&self, to: &mut impl FnMut(&T) -> Result<U, E>) -> Result<Branches<U>, E> {
        Ok(match self {
            Self::Always(value) => Branches::Always(to(value)?),
            Self::Either { condition, then, otherwise } => Branches::Either {
                condition: condition.clone(),
                then: Box::new(then.map(to)?),
                otherwise: Box::new(otherwise.map(to)?),
            },
        })
    }

    /// One expression again, of other conditions and values.
    ///
    /// # Errors
    /// Where the branches have no type in common.
    pub(super) fn together(&self, condition: &dyn Fn(&Expr) -> Expr, value: &dyn Fn(&T) -> Expr) -> Result<Expr> {
        match self {
            Self::Always(always) => Ok(value(always)),
            Self::Either { condition: own, then, otherwise } => {
                when(condition(own), then.together(condition, value)?).otherwise(otherwise.together(condition, value)?)
            }
        }
    }
}

/// None where there are more branches than `left`.
fn branches(expr: &Expr, schema: &DFSchema, left: &mut usize) -> Result<Option<Branches<Expr>>> {
    let Some(case) = first_case(expr)? else {
        let Some(fewer) = left.checked_sub(1) else { return Ok(None) };
        *left = fewer;
        return Ok(Some(Branches::Always(expr.clone())));
    };
    let whole = Expr::Case(case.clone());
    let in_place = |value: &Expr| {
        let place = |part: Expr| match part == whole {
            true => Ok(Transformed::new(value.clone(), true, TreeNodeRecursion::Jump)),
            false => Ok(Transformed::no(part)),
        };
        expr.clone().transform_down(place).map(|done| done.data)
    };
    let nothing = lit(ScalarValue::try_from(&whole.get_type(schema)?)?);
    let last = case.else_expr.as_deref().unwrap_or(&nothing);
    let Some(mut all) = branches(&in_place(last)?, schema, left)? else { return Ok(None) };
    for (is, then) in case.when_then_expr.iter().rev() {
        let condition = match &case.expr {
            Some(subject) => subject.as_ref().clone().eq(is.as_ref().clone()),
            None => is.as_ref().clone(),
        };
        let Some(then) = branches(&in_place(then)?, schema, left)? else { return Ok(None) };
        all = Branches::Either { condition, then: Box::new(then), otherwise: Box::new(all) };
    }
    Ok(Some(all))
}

fn first_case(expr: &Expr) -> Result<Option<Case>> {
    let mut found = None;
    expr.apply(|part| {
        if let Expr::Case(case) = part {
            found = Some(case.clone());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Truth as a number is one or zero.
fn number_of_truth(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
    let kind = cast.field.data_type();
    if !kind.is_numeric() || cast.expr.get_type(schema)? != DataType::Boolean {
        return Ok(Transformed::no(expr));
    }
    let number = |number: i64| Ok::<_, DataFusionError>(lit(ScalarValue::Int64(Some(number)).cast_to(kind)?));
    let truth = cast.expr.as_ref().clone();
    let case = match truth.nullable(schema)? {
        true => when(truth.clone(), number(1)?).when(truth.is_false(), number(0)?).end()?,
        false => when(truth, number(1)?).otherwise(number(0)?)?,
    };
    Ok(Transformed::yes(case))
}
