//! SQL text to an analyzed logical plan, with errors that say where.

use datafusion::common::format::ExplainStatementOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFunctionDefinition};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use domicile_types::is_slip_of;
use domicile_types::limits::{PLAN_DEPTH_MAX, SQL_BYTES_MAX, SQL_OPERATORS_MAX};

use crate::QueryError;
use crate::aggregate::{of as aggregate_of, plugin_aggregate};
use crate::growth;

const QUERIES_ONLY: &str = "only queries (SELECT, WITH, VALUES) are answered here";

/// What a text asks for.
#[derive(Debug)]
pub(crate) enum Question {
    /// The rows of a query.
    Rows(LogicalPlan),
    /// How the query would be answered.
    Explain(LogicalPlan),
    /// What of the query would cross which border, and by what right.
    Residency(LogicalPlan),
}

/// Plans one `SELECT`.
///
/// # Errors
/// Where the text is not one query, is too long or deep, or names what does not exist.
pub(crate) async fn parse(session: &SessionContext, sql: &str) -> Result<LogicalPlan, QueryError> {
    parse_with(session, sql, Vec::new()).await
}

/// Plans one `SELECT`, or the one behind `EXPLAIN` or `EXPLAIN RESIDENCY`.
///
/// # Errors
/// As [`parse`].
pub(crate) async fn question(session: &SessionContext, sql: &str) -> Result<Question, QueryError> {
    question_with(session, sql, Vec::new()).await
}

/// Plans one `SELECT` in which `$name` stands for the value of the parameter `name`.
///
/// # Errors
/// As [`parse`], and where a name is no parameter's.
pub(crate) async fn parse_with(
    session: &SessionContext,
    sql: &str,
    parameters: Vec<(String, ScalarValue)>,
) -> Result<LogicalPlan, QueryError> {
    match question_with(session, sql, parameters).await? {
        Question::Rows(plan) => Ok(plan),
        Question::Explain(_) | Question::Residency(_) => Err(QueryError::sql(QUERIES_ONLY, None)),
    }
}

/// The query of a text, as it was written: without an `EXPLAIN` before it.
///
/// # Errors
/// Where the text is not one query.
pub(crate) fn query_of(session: &SessionContext, sql: &str) -> Result<Query, QueryError> {
    let state = session.state();
    let behind = behind_explain_residency(sql);
    let statement = state
        .sql_to_statement(behind.as_deref().unwrap_or(sql), &state.config().options().sql_parser.dialect)
        .map_err(located)?;
    match query(statement)?.0 {
        Statement::Statement(inner) => match *inner {
            SqlStatement::Query(query) => Ok(*query),
            _ => Err(QueryError::sql(QUERIES_ONLY, None)),
        },
        _ => Err(QueryError::sql(QUERIES_ONLY, None)),
    }
}

async fn question_with(
    session: &SessionContext,
    sql: &str,
    parameters: Vec<(String, ScalarValue)>,
) -> Result<Question, QueryError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(QueryError::TooLarge { what: "the SQL text", limit: SQL_BYTES_MAX, unit: "bytes" });
    }
    let behind = behind_explain_residency(sql);
    let residency = behind.is_some();
    let sql = behind.as_deref().unwrap_or(sql);
    check_tokens(sql)?;
    let state = session.state();
    let statement = state
        .sql_to_statement(sql, &state.config().options().sql_parser.dialect)
        .map_err(|error| located_in(sql, error))?;
    let (statement, explain) = query(statement)?;
    for table in state.resolve_table_references(&statement).map_err(located)? {
        known_table(session, &table)?;
    }
    let plan = state.statement_to_plan(statement).await.map_err(located)?;
    if depth(&plan) > PLAN_DEPTH_MAX {
        return Err(QueryError::TooLarge { what: "the query's nesting", limit: PLAN_DEPTH_MAX, unit: "levels" });
    }
    growth::check(&plan)?;
    unique_names(&plan)?;
    let plan = if parameters.is_empty() { plan } else { plan.with_param_values(parameters).map_err(located)? };
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(located)?;
    plain_plugin_aggregates(&plan)?;
    match (residency, explain) {
        (true, true) => Err(QueryError::sql(QUERIES_ONLY, None)),
        (true, false) => Ok(Question::Residency(plan)),
        (false, true) => Ok(Question::Explain(plan)),
        (false, false) => Ok(Question::Rows(plan)),
    }
}

/// What follows `EXPLAIN RESIDENCY`, these words blank, so that places in errors stay; none where a text does not start
/// with them.
fn behind_explain_residency(sql: &str) -> Option<String> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let mut words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let mut end = None;
    for wanted in ["EXPLAIN", "RESIDENCY"] {
        let next = words.next()?;
        match &next.token {
            Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted) => {
                end = Some(next.span.end);
            }
            _ => return None,
        }
    }
    let end = end?;
    let (mut line, mut column) = (1, 1);
    let blank = sql.chars().map(|c| {
        let before = (line, column) < (end.line, end.column);
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
        if before && c != '\n' { ' ' } else { c }
    });
    Some(blank.collect())
}

/// The query of a statement, and whether it is only to be explained.
fn query(statement: Statement) -> Result<(Statement, bool), QueryError> {
    let (statement, explain) = match statement {
        Statement::Explain(explained) if explained.options == ExplainStatementOptions::default() => {
            (*explained.statement, true)
        }
        Statement::Explain(_) => {
            let message =
                "EXPLAIN takes no options here but RESIDENCY: it shows the plan, or what would cross, and runs nothing";
            return Err(QueryError::sql(message, None));
        }
        other => (other, false),
    };
    if matches!(&statement, Statement::Statement(inner) if matches!(inner.as_ref(), SqlStatement::Query(_))) {
        return Ok((statement, explain));
    }
    Err(QueryError::sql(QUERIES_ONLY, None))
}

/// Bounds what planning recurses over, before anything recurses, and refuses what the planner would silently ignore.
fn check_tokens(sql: &str) -> Result<(), QueryError> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
    let tokens = tokens.map_err(|e| {
        let place = (e.location.line > 0).then_some((e.location.line, e.location.column));
        QueryError::sql(&e.message, place)
    })?;
    let mut operators = 0_usize;
    for token in &tokens {
        match &token.token {
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::LParen
            | Token::RParen
            | Token::Comma
            | Token::Period
            | Token::SemiColon
            | Token::EOF => {}
            Token::Word(word) => match word.keyword {
                Keyword::TABLESAMPLE | Keyword::SAMPLE if word.quote_style.is_none() => {
                    let place = (token.span.start.line, token.span.start.column);
                    return Err(QueryError::sql("samples are not answered here", Some(place)));
                }
                Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::CASE | Keyword::JOIN | Keyword::UNION => {
                    operators += 1
                }
                _ => {}
            },
            _ => operators += 1,
        }
    }
    if operators > SQL_OPERATORS_MAX {
        return Err(QueryError::TooLarge { what: "the SQL text", limit: SQL_OPERATORS_MAX, unit: "operators" });
    }
    Ok(())
}

/// Rows are objects by column name in most formats, so two columns of one name would lose one.
fn unique_names(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut seen = std::collections::BTreeSet::new();
    for field in plan.schema().fields() {
        if !seen.insert(field.name()) {
            let message =
                format!("two columns of the answer are named `{}`; give one another name with AS", field.name());
            return Err(QueryError::sql(&message, None));
        }
    }
    Ok(())
}

/// What a plugin's aggregate gives depends on rows alone: not on which come twice, nor on their order.
fn plain_plugin_aggregates(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut refused = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                refused = refused.take().or_else(|| beyond_plain(part));
                Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    refused.map_or(Ok(()), |message| Err(QueryError::sql(&message, None)))
}

fn beyond_plain(expr: &Expr) -> Option<String> {
    let (aggregate, clause) = match expr {
        Expr::AggregateFunction(call) => {
            let clauses = [
                (call.params.distinct, "DISTINCT"),
                (!call.params.order_by.is_empty(), "ORDER BY"),
                (call.params.null_treatment.is_some(), "IGNORE NULLS"),
            ];
            (plugin_aggregate(call)?, clauses.into_iter().find_map(|(there, clause)| there.then_some(clause))?)
        }
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => (aggregate_of(function)?, "OVER"),
            WindowFunctionDefinition::WindowUDF(_) => return None,
        },
        _ => return None,
    };
    let name = aggregate.base();
    Some(format!("`{name}` is a plugin's aggregate and takes no {clause}; prepare the rows in a subquery instead"))
}

fn known_table(session: &SessionContext, table: &datafusion::common::TableReference) -> Result<(), QueryError> {
    let state = session.state();
    let schema = state.schema_for_ref(table.clone()).map_err(located)?;
    if schema.table_exist(table.table()) {
        return Ok(());
    }
    let names = schema.table_names();
    Err(QueryError::unknown("dataset", table.table(), names.iter().map(String::as_str)))
}

fn depth(plan: &LogicalPlan) -> usize {
    let (mut now, mut deepest) = (0, 0);
    let mut walker = Walker { now: &mut now, deepest: &mut deepest };
    // The walker never fails.
    let _ = plan.visit_with_subqueries(&mut walker);
    deepest
}

struct Walker<'a> {
    now: &'a mut usize,
    deepest: &'a mut usize,
}

impl<'n> datafusion::common::tree_node::TreeNodeVisitor<'n> for Walker<'_> {
    type Node = LogicalPlan;

    fn f_down(&mut self, _: &'n LogicalPlan) -> datafusion::common::Result<TreeNodeRecursion> {
        *self.now += 1;
        *self.deepest = (*self.deepest).max(*self.now);
        Ok(TreeNodeRecursion::Continue)
    }

    fn f_up(&mut self, _: &'n LogicalPlan) -> datafusion::common::Result<TreeNodeRecursion> {
        *self.now -= 1;
        Ok(TreeNodeRecursion::Continue)
    }
}

/// As [`located`]; a text that ends too early is located at its end.
fn located_in(sql: &str, error: DataFusionError) -> QueryError {
    let ended = matches!(error.find_root(), DataFusionError::SQL(..));
    match located(error) {
        QueryError::Sql { message, place: None } if ended => {
            let lines = sql.lines().count().max(1);
            let column = sql.lines().last().map_or(0, |line| line.chars().count()) + 1;
            QueryError::Sql { message, place: Some((lines as u64, column as u64)) }
        }
        other => other,
    }
}

/// The same failure as an error about the caller's SQL, with its place where the planner knows it.
fn located(error: DataFusionError) -> QueryError {
    let place = error.diagnostic().and_then(|d| d.span).map(|span| (span.start.line, span.start.column));
    match error.find_root() {
        DataFusionError::SQL(parser, _) => {
            let message = parser.to_string();
            QueryError::sql(message.trim_start_matches("sql parser error: "), place.or_else(|| place_in(&message)))
        }
        DataFusionError::SchemaError(schema, _) => QueryError::sql(&plain(&schema.to_string()), place),
        DataFusionError::Plan(message) | DataFusionError::NotImplemented(message) => {
            QueryError::sql(&plain(message), place)
        }
        root => QueryError::sql(&plain(&root.strip_backtrace()), place),
    }
}

/// The planner's message in words for whoever wrote the SQL: without its request to report a bug, which it also makes
/// of what callers got wrong, without what it was about to do, and without names that are like none that was written.
fn plain(message: &str) -> String {
    let told = match message.split_once("This issue was likely") {
        None => message,
        Some((before, after)) => after.split_once("/issues. ").map_or(before, |(_, rest)| rest),
    };
    let told = told.trim_start_matches("Internal error: ").trim_end();
    near(told).replace(EXPANDING, "`*` stands for all columns, and ")
}

/// How the planner begins to say what is wrong with a column that `*` stands for.
const EXPANDING: &str = "While expanding wildcard, ";

/// The message without the function that it proposes, where that one is named quite differently: the planner proposes
/// whichever is nearest, however far that is.
fn near(message: &str) -> &str {
    let Some((told, proposed)) = message.split_once("Did you mean '") else { return message };
    let written = told.strip_prefix("Invalid function '").and_then(|rest| rest.split_once('\''));
    let (Some((written, _)), Some((proposed, _))) = (written, proposed.split_once('\'')) else { return message };
    if is_slip_of(written, proposed) { message } else { told.trim_end() }
}

/// The place that the SQL parser writes at the end of its messages: ` at Line: 1, Column: 15`.
fn place_in(message: &str) -> Option<(u64, u64)> {
    let (line, column) = message.rsplit_once("Line: ")?.1.split_once(", Column: ")?;
    let column: String = column.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, column.parse().ok()?))
}
