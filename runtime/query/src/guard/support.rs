//! Which rows values are made of: what is not there counts in none.

use datafusion::common::{Column, DFSchema, ExprSchema, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, col};

use crate::aggregate::plugin_aggregate;

/// The rows that several aggregates are over.
#[derive(Debug, Default)]
pub(crate) struct Supports {
    /// Whether one of them is over all.
    pub(crate) all: bool,
    /// Those that others are over.
    pub(crate) some: Vec<Support>,
}

/// The rows that something is there in.
#[derive(Debug)]
pub(crate) struct Support {
    pub(crate) value: Expr,
    /// The same for all that are there in the same rows, as text.
    pub(crate) of: String,
    /// Whether it is a sum of a column as it is. What that is over is compared with other sums of the column, and tells
    /// nothing beside a number of rows.
    pub(crate) is_own: bool,
}

impl Supports {
    /// Those of `aggregates` of rows of `schema`.
    ///
    /// # Errors
    /// Where an argument is none of `schema`.
    pub(crate) fn of<'a>(aggregates: impl Iterator<Item = &'a AggregateFunction>, schema: &DFSchema) -> Result<Self> {
        let mut supports = Self::default();
        for function in aggregates {
            let nullable = function.params.args.iter().map(|argument| argument.nullable(schema));
            let nullable = nullable.collect::<Result<Vec<bool>>>()?;
            // Code may look at rows that have nothing, too.
            supports.all |= !nullable.contains(&true) || plugin_aggregate(function).is_some();
            for (argument, _) in function.params.args.iter().zip(&nullable).filter(|(_, nullable)| **nullable) {
                supports.add(Support::of(argument, function.func.name() != "count", schema)?);
            }
        }
        Ok(supports)
    }

    fn add(&mut self, support: Support) {
        match self.some.iter_mut().find(|known| known.of == support.of) {
            Some(known) => known.is_own &= support.is_own,
            None => self.some.push(support),
        }
    }
}

impl Support {
    fn of(argument: &Expr, is_sum: bool, schema: &DFSchema) -> Result<Self> {
        let mut columns = Vec::new();
        if !is_strict(argument, &mut columns) {
            return Ok(Self { of: argument.to_string(), value: argument.clone(), is_own: false });
        }
        columns.retain(|column| schema.field_from_column(column).is_ok_and(|field| field.is_nullable()));
        columns.sort_unstable();
        columns.dedup();
        let of = columns.iter().map(|column| named(column, schema)).collect::<Vec<_>>().join(", ");
        let value = if let [column] = columns.as_slice() { col(column.clone()) } else { argument.clone() };
        Ok(Self { of, value, is_own: is_sum && is_column(argument) })
    }
}

/// The column's name, with its table where several have one of that name.
fn named(column: &Column, schema: &DFSchema) -> String {
    let is_only = schema.qualified_fields_with_unqualified_name(&column.name).len() == 1;
    if is_only { column.name.clone() } else { column.flat_name() }
}

/// Whether the expression has a value just where all of these columns have.
fn is_strict(expr: &Expr, columns: &mut Vec<Column>) -> bool {
    match expr {
        Expr::Column(column) => {
            columns.push(column.clone());
            true
        }
        Expr::Literal(value, _) => !value.is_null(),
        Expr::Alias(alias) => is_strict(&alias.expr, columns),
        Expr::Negative(inner) => is_strict(inner, columns),
        Expr::Cast(cast) => is_strict(&cast.expr, columns),
        Expr::BinaryExpr(binary) => {
            let is_arithmetic = matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply);
            is_arithmetic && is_strict(&binary.left, columns) && is_strict(&binary.right, columns)
        }
        _ => false,
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(cast) => is_column(&cast.expr),
        other => matches!(other, Expr::Column(_)),
    }
}
