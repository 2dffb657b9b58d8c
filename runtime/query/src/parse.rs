//! SQL text to an analyzed logical plan, with errors that say where.

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use domicile_types::limits::{PLAN_DEPTH_MAX, SQL_BYTES_MAX};

use crate::QueryError;

/// Plans one `SELECT`.
///
/// # Errors
/// Where the text is not one query, is too long or deep, or names what does not exist.
pub(crate) async fn parse(session: &SessionContext, sql: &str) -> Result<LogicalPlan, QueryError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(QueryError::TooLarge { what: "the SQL text", limit: SQL_BYTES_MAX, unit: "bytes" });
    }
    let state = session.state();
    let statement = state.sql_to_statement(sql, &state.config().options().sql_parser.dialect).map_err(located)?;
    if !matches!(&statement, Statement::Statement(inner) if matches!(inner.as_ref(), SqlStatement::Query(_))) {
        return Err(QueryError::sql("only queries (SELECT, WITH, VALUES) are answered here", None));
    }
    for table in state.resolve_table_references(&statement).map_err(located)? {
        known_table(session, &table)?;
    }
    let plan = state.statement_to_plan(statement).await.map_err(located)?;
    if depth(&plan) > PLAN_DEPTH_MAX {
        return Err(QueryError::TooLarge { what: "the query's nesting", limit: PLAN_DEPTH_MAX, unit: "levels" });
    }
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(located)
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

/// The same failure as an error about the caller's SQL, with its place where the planner knows it.
fn located(error: DataFusionError) -> QueryError {
    let place = error.diagnostic().and_then(|d| d.span).map(|span| (span.start.line, span.start.column));
    match error.find_root() {
        DataFusionError::SQL(parser, _) => {
            let message = parser.to_string();
            QueryError::sql(message.trim_start_matches("sql parser error: "), place.or_else(|| place_in(&message)))
        }
        DataFusionError::SchemaError(schema, _) => QueryError::sql(&schema.to_string(), place),
        DataFusionError::Plan(message) | DataFusionError::NotImplemented(message) => QueryError::sql(message, place),
        root => QueryError::sql(&root.strip_backtrace(), place),
    }
}

/// The place that the SQL parser writes at the end of its messages: ` at Line: 1, Column: 15`.
fn place_in(message: &str) -> Option<(u64, u64)> {
    let (line, column) = message.rsplit_once("Line: ")?.1.split_once(", Column: ")?;
    let column: String = column.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, column.parse().ok()?))
}
