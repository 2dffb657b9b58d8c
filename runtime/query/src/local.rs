//! SQL over tables in memory, without a region: what a query plugin's input is tried with.

use std::sync::Arc;
use std::thread;

use arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;
use domicile_sandbox::Value;
use domicile_types::limits::{QUERY_MEMORY_BYTES_MAX, THREAD_STACK_BYTES};
use tokio::runtime::Builder;

use crate::QueryError;
use crate::catalog::session_state;
use crate::parse::parse_with;
use crate::query_plugin::scalar;

/// Runs one `SELECT` over the tables, by their names, with the functions that a region has. `$name` in it stands for
/// the value of that parameter. Answers with at least one batch. Blocks.
///
/// # Errors
/// Where the SQL is not one `SELECT` over these tables, or it fails.
pub fn select_local(
    sql: &str,
    tables: &[(String, RecordBatch)],
    parameters: &[(String, Value)],
) -> Result<Vec<RecordBatch>, QueryError> {
    let stopped = |detail: String| QueryError::Execution(format!("the query cannot run: {detail}"));
    // Planning recurses deeper than the stack of the caller's thread.
    thread::scope(|scope| {
        let work = || {
            let runtime = Builder::new_current_thread().build().map_err(|error| stopped(error.to_string()))?;
            runtime.block_on(select(sql, tables, parameters))
        };
        let worker = thread::Builder::new().stack_size(THREAD_STACK_BYTES).spawn_scoped(scope, work);
        let worked = worker.map_err(|error| stopped(error.to_string()))?.join();
        worked.map_err(|_| stopped("its thread ended".to_owned()))?
    })
}

async fn select(
    sql: &str,
    tables: &[(String, RecordBatch)],
    parameters: &[(String, Value)],
) -> Result<Vec<RecordBatch>, QueryError> {
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(QUERY_MEMORY_BYTES_MAX, 1.0).build_arc()?;
    let session = SessionContext::new_with_state(session_state(&runtime)?);
    for (name, rows) in tables {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?;
        session.register_table(name.as_str(), Arc::new(table))?;
    }
    let values = parameters.iter().map(|(name, value)| (name.clone(), scalar(value))).collect();
    let plan = parse_with(&session, sql, values).await?;
    let schema = Arc::clone(plan.schema().inner());
    let mut batches = session.execute_logical_plan(plan).await?.collect().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}
