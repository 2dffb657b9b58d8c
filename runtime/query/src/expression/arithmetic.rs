//! What flows into operators, and which arithmetic tells values apart.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::{CASE, CAST, Flow, computed, expression};
use crate::QueryError;

/// Most digits behind the point of a decimal that is computed: then none of its digits is lost.
const SCALE_DIGITS_MAX: i8 = 15;

/// Sums, differences and products carry values, and so does a quotient by something that carries none. Every other
/// operator that is not a comparison is a function that a policy has to name.
pub(super) fn binary_flow(
    expr: &Expr,
    binary: &BinaryExpr,
    schema: &DFSchema,
    input: &[Flow],
) -> Result<Flow, QueryError> {
    let (left, right) = (expression(&binary.left, schema, input)?, expression(&binary.right, schema, input)?);
    let mut flow = computed(left.clone());
    flow.absorb(&right);
    let constants = match binary.op {
        Operator::Multiply => {
            flow = computed(left.multiplied(&right));
            Some(flow.constants)
        }
        Operator::Plus => Some(left.constants.plus(right.constants, false)),
        Operator::Minus => Some(left.constants.plus(right.constants, true)),
        Operator::Divide if right.columns().next().is_none() => Some(left.constants.over(right.constants)),
        _ => None,
    };
    if let Some(constants) = constants {
        flow.constants = constants;
        if flow.columns().next().is_some() {
            let steps = steps([&left, &right], &flow, binary.op, &expr.get_type(schema)?);
            flow.functions.extend(steps.map(str::to_owned));
        }
        return Ok(flow);
    }
    match binary.op {
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::And
        | Operator::Or
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom
        | Operator::RegexMatch
        | Operator::RegexIMatch
        | Operator::RegexNotMatch
        | Operator::RegexNotIMatch
        | Operator::LikeMatch
        | Operator::ILikeMatch
        | Operator::NotLikeMatch
        | Operator::NotILikeMatch => Ok(flow.into_condition()),
        other => {
            flow.functions.insert(other.to_string());
            Ok(flow)
        }
    }
}

/// What arithmetic needs permission for, since it tells values apart as a condition or a cast that rounds does: `flow` is
/// that of the result.
fn steps(
    of: [&Flow; 2],
    flow: &Flow,
    operator: Operator,
    kind: &DataType,
) -> impl Iterator<Item = &'static str> + use<> {
    let [left, right] = of;
    let is_unknown = |flow: &&Flow| flow.is_constant() && flow.constants.is_unknown();
    // What is left of a difference of something and nearly the same may be as small as one likes.
    let cancels = operator != Operator::Multiply && flow.degree <= 1 && !left.values.is_disjoint(&right.values);
    let unknown = kind.is_numeric() && of.iter().any(is_unknown);
    let is_condition = unknown || cancels || !flow.constants.are_small(kind.is_floating());
    let exact = operator != Operator::Divide || right.constants.is_power_of_ten();
    let is_step = match kind {
        // Digits beyond those of a decimal are rounded away, or take those before the point.
        DataType::Decimal128(_, scale) => !exact || *scale > SCALE_DIGITS_MAX,
        DataType::Decimal256(..) => true,
        // What is left of a quotient of whole numbers says which of them is larger.
        kind => kind.is_integer() && operator == Operator::Divide,
    };
    [is_condition.then_some(CASE), is_step.then_some(CAST)].into_iter().flatten()
}

/// The number that a literal is.
pub(super) fn number(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(number)) if value.data_type().is_numeric() => number,
        _ => None,
    }
}
