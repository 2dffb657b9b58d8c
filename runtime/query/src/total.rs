//! Expressions made total: what cannot be computed becomes NULL.
//!
//! An error that depends on values would tell a caller across the border about single rows, so a fragment for another
//! region is executed without casts, arithmetic and functions that can fail. What still does is held back whole.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Datum, new_null_array};
use arrow::compute::concat;
use arrow::compute::kernels::numeric::{add, div, mul, rem, sub};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::functions::expr_fn::nullif;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TryCast, Volatility, lit,
};
use domicile_sandbox::{ErrorKind, SandboxError};
use domicile_types::limits::PLUGIN_ROWS_FAILED_MAX;

use crate::plugin_sql::PluginFunction;

/// The plan with every cast, every operation on numbers and dates, and every function known to fail made total.
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
        Expr::BinaryExpr(mut binary) => {
            let total = TotalOperation::of(&binary.op, &Expr::BinaryExpr(binary.clone()), schema);
            let divides = matches!(binary.op, Operator::Divide | Operator::Modulo);
            if divides {
                binary.right = Box::new(nullif(*binary.right, lit(0)));
            }
            match total {
                Some(total) => Transformed::yes(ScalarUDF::from(total).call(vec![*binary.left, *binary.right])),
                None => Transformed::new_transformed(Expr::BinaryExpr(binary), divides),
            }
        }
        Expr::ScalarFunction(call) if TotalFunction::is_for(&call.func) => {
            Transformed::yes(ScalarUDF::from(TotalFunction::of(call.func)).call(call.args))
        }
        other => Transformed::no(other),
    })
}

/// An operation on numbers or dates, NULL for rows where its result does not exist or does not fit.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TotalOperation {
    operator: Operator,
    kind: DataType,
    signature: Signature,
}

impl TotalOperation {
    fn of(operator: &Operator, expr: &Expr, schema: &DFSchema) -> Option<Self> {
        let kind = expr.get_type(schema).ok()?;
        let fails = match operator {
            // Whole numbers wrap.
            Operator::Plus | Operator::Minus | Operator::Multiply => !kind.is_integer() && !kind.is_floating(),
            // The least whole number has no counterpart.
            Operator::Divide | Operator::Modulo => !kind.is_floating(),
            _ => false,
        };
        fails.then(|| Self { operator: *operator, kind, signature: Signature::any(2, Volatility::Immutable) })
    }

    fn compute(&self, left: &dyn Datum, right: &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> {
        match self.operator {
            Operator::Plus => add(left, right),
            Operator::Minus => sub(left, right),
            Operator::Multiply => mul(left, right),
            Operator::Divide => div(left, right),
            _ => rem(left, right),
        }
    }
}

impl ScalarUDFImpl for TotalOperation {
    fn name(&self) -> &str {
        match self.operator {
            Operator::Plus => "_sum",
            Operator::Minus => "_difference",
            Operator::Multiply => "_product",
            Operator::Divide => "_quotient",
            _ => "_remainder",
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
            return Err(DataFusionError::Internal("an operation has two sides".to_owned()));
        };
        let compute = |at, rows| Ok(self.compute(&left.slice(at, rows), &right.slice(at, rows))?);
        by_halves(left.len(), &self.kind, None, &compute).map(ColumnarValue::Array)
    }
}

/// Functions of the engine that fail at some values. Those of plugins may as well.
const FALLIBLE: [&str; 22] = [
    "abs",
    "chr",
    "date_bin",
    "date_part",
    "date_trunc",
    "decode",
    "factorial",
    "from_unixtime",
    "gcd",
    "lcm",
    "lpad",
    "make_date",
    "power",
    "repeat",
    "rpad",
    "to_char",
    "to_date",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
];

/// A function, NULL for rows that it fails at.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TotalFunction {
    inner: Arc<ScalarUDF>,
}

impl TotalFunction {
    fn is_for(function: &ScalarUDF) -> bool {
        let implementation: &dyn Any = function.inner().as_ref();
        implementation.is::<PluginFunction>() || FALLIBLE.contains(&function.name())
    }

    fn of(inner: Arc<ScalarUDF>) -> Self {
        Self { inner }
    }
}

impl ScalarUDFImpl for TotalFunction {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        self.inner.return_type(kinds)
    }

    fn return_field_from_args(&self, fields: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(fields)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(kinds)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let compute = |at: usize, rows: usize| {
            let part = |value: &ColumnarValue| match value {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(at, rows)),
                ColumnarValue::Scalar(scalar) => ColumnarValue::Scalar(scalar.clone()),
            };
            let args = call.args.iter().map(part).collect();
            let part = ScalarFunctionArgs { args, number_rows: rows, ..call.clone() };
            self.inner.invoke_with_args(part)?.into_array(rows)
        };
        let implementation: &dyn Any = self.inner.inner().as_ref();
        let failures_max = implementation.is::<PluginFunction>().then_some(PLUGIN_ROWS_FAILED_MAX);
        by_halves(call.number_rows, call.return_field.data_type(), failures_max, &compute).map(ColumnarValue::Array)
    }
}

/// What `compute` gives for so many rows from a place on, with NULL for the rows that it fails at. Which they are only
/// computing each half again tells.
///
/// # Errors
/// What is about no row: where a plugin took its whole time, or there is no place for it. Or that it fails at more than
/// `failures_max` rows.
fn by_halves(
    rows: usize,
    kind: &DataType,
    failures_max: Option<usize>,
    compute: &dyn Fn(usize, usize) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let (mut ahead, mut done, mut failures) = (vec![(0, rows)], Vec::new(), 0);
    while let Some((at, rows)) = ahead.pop() {
        match compute(at, rows) {
            Ok(part) => done.push(part),
            Err(error) if !is_about_rows(&error) => return Err(error),
            Err(error) if rows <= 1 => {
                failures += 1;
                if failures_max.is_some_and(|max| failures > max) {
                    return Err(error);
                }
                done.push(new_null_array(kind, rows));
            }
            Err(_) => ahead.extend([(at + rows / 2, rows - rows / 2), (at, rows / 2)]),
        }
    }
    if let [whole] = done.as_slice() {
        return Ok(Arc::clone(whole));
    }
    let parts: Vec<&dyn Array> = done.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

fn is_about_rows(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::External(cause) => {
            cause.downcast_ref::<SandboxError>().is_none_or(|error| error.kind() == ErrorKind::Plugin)
        }
        _ => true,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
