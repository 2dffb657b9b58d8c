//! Our SQL in SQLite's dialect, by its syntax tree.

use std::ops::ControlFlow;

use anyhow::{Context, Result, bail, ensure};
use sqlparser::ast::{BinaryOperator, Expr, Query, SetExpr, Statement, Value, visit_expressions_mut};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// The one query that a text is.
///
/// # Errors
/// Where it is something else.
pub(crate) fn parse(sql: &str) -> Result<Query> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).with_context(|| sql.to_owned())?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok(*query),
        _ => bail!("one SELECT is wanted: {sql}"),
    }
}

/// Rewrites what SQLite says differently: dates are texts there, and parts of them are cut out by functions.
///
/// # Errors
/// Where something has no translation.
pub(crate) fn translate(query: &mut Query) -> Result<()> {
    let mut failed = None;
    let _ = visit_expressions_mut(query, |expr| match translated(expr) {
        Ok(None) => ControlFlow::Continue(()),
        Ok(Some(new)) => {
            *expr = new;
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    });
    failed.map_or(Ok(()), Err)
}

fn translated(expr: &Expr) -> Result<Option<Expr>> {
    match expr {
        Expr::Extract { field, expr, .. } => {
            let field = field.to_string().to_lowercase();
            expression(&format!("date_part('{field}', {expr})")).map(Some)
        }
        Expr::TypedString(text) => Ok(Some(Expr::Value(text.value.clone()))),
        Expr::BinaryOp { left, op, right } => match (op, right.as_ref()) {
            (BinaryOperator::Minus | BinaryOperator::Plus, Expr::Interval(interval)) => {
                let Expr::Value(value) = interval.value.as_ref() else { bail!("{interval} has no translation") };
                let Value::SingleQuotedString(length) = &value.value else { bail!("{interval} has no translation") };
                expression(&format!("date({left}, '{op}{length}')")).map(Some)
            }
            (BinaryOperator::Minus, right) if is_date(left) && is_date(right) => {
                expression(&format!("(julianday({left}) - julianday({right}))")).map(Some)
            }
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Whether it is a column that holds dates, by its name.
fn is_date(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(name) if name.value.ends_with("date"))
}

/// One expression from its text.
///
/// # Errors
/// Where it is none.
pub(crate) fn expression(text: &str) -> Result<Expr> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text)?;
    let expr = parser.parse_expr().with_context(|| text.to_owned())?;
    ensure!(parser.peek_token().token == Token::EOF, "{text} is more than {expr}");
    Ok(expr)
}

/// The SELECT at the top of a query, if it is one and nothing else.
pub(crate) fn top(query: &Query) -> Option<&sqlparser::ast::Select> {
    match query.body.as_ref() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}
