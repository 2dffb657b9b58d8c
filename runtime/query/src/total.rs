//! Expressions made total: what cannot be computed becomes NULL.
//!
//! An error that depends on values would tell a caller across the border about single rows, so a fragment for another
//! region is executed without casts, divisions and decimal arithmetic that can fail.

use arrow::array::{ArrayRef, Datum, new_null_array};
use arrow::compute::concat;
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::functions::expr_fn::nullif;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TryCast, Volatility, lit,
};

/// The plan with every cast, division and decimal operation of its expressions made total.
///
/// # Errors
/// Where a node cannot be rebuilt.
pub(crate) fn total(plan: LogicalPlan) -> Result<LogicalPlan> {
    let total = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let schema = merge_schema(&node.inputs());
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let total = expr.transform_up(|expr| total_expression(expr, &schema))?;
            Ok(total.update_data(|expr| name.restore(expr)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    });
    Ok(total?.data)
}

fn total_expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Cast(cast) => Transformed::yes(Expr::TryCast(TryCast { expr: cast.expr, field: cast.field })),
        Expr::BinaryExpr(mut binary) if matches!(binary.op, Operator::Divide | Operator::Modulo) => {
            binary.right = Box::new(nullif(*binary.right, lit(0)));
            Transformed::yes(Expr::BinaryExpr(binary))
        }
        Expr::BinaryExpr(binary) => match TotalDecimal::of(&binary.op, &Expr::BinaryExpr(binary.clone()), schema) {
            Some(total) => Transformed::yes(ScalarUDF::from(total).call(vec![*binary.left, *binary.right])),
            None => Transformed::no(Expr::BinaryExpr(binary)),
        },
        other => Transformed::no(other),
    })
}

/// A sum, difference or product of decimals, NULL for rows where it has too many digits.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TotalDecimal {
    operator: Operator,
    kind: DataType,
    signature: Signature,
}

impl TotalDecimal {
    fn of(operator: &Operator, expr: &Expr, schema: &DFSchema) -> Option<Self> {
        let kind = expr.get_type(schema).ok().filter(|kind| matches!(kind, DataType::Decimal128(..)))?;
        let total = matches!(operator, Operator::Plus | Operator::Minus | Operator::Multiply);
        total.then(|| Self { operator: *operator, kind, signature: Signature::any(2, Volatility::Immutable) })
    }

    fn compute(&self, left: &dyn Datum, right: &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> {
        match self.operator {
            Operator::Plus => add(left, right),
            Operator::Minus => sub(left, right),
            _ => mul(left, right),
        }
    }
}

impl ScalarUDFImpl for TotalDecimal {
    fn name(&self) -> &str {
        match self.operator {
            Operator::Plus => "_sum",
            Operator::Minus => "_difference",
            _ => "_product",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kind.clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&call.args)?;
        let [left, right] = columns.as_slice() else {
            return Err(DataFusionError::Internal("an operation on decimals has two sides".to_owned()));
        };
        if let Ok(whole) = self.compute(left, right) {
            return Ok(ColumnarValue::Array(whole));
        }
        // Some row has too many digits; which, only its own result tells.
        let row = |row: usize| {
            let done = self.compute(&left.slice(row, 1), &right.slice(row, 1));
            done.unwrap_or_else(|_| new_null_array(&self.kind, 1))
        };
        let rows: Vec<ArrayRef> = (0..left.len()).map(row).collect();
        let rows: Vec<&dyn arrow::array::Array> = rows.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&rows)?))
    }
}
