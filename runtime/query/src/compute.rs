//! Threads of their own for executing plans, so that a plan that never pauses holds up no request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::prelude::SessionContext;
use domicile_types::limits::{COMPUTE_THREADS_MIN, JOIN_PAIRS_MAX, THREAD_STACK_BYTES};
use futures::{FutureExt, TryStreamExt};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use crate::QueryError;
use crate::recheck::Recheck;

/// The threads that execute plans.
#[derive(Debug)]
pub(crate) struct Compute {
    /// Taken when dropped, which may be on a thread that must not wait.
    runtime: Option<Runtime>,
}

impl Compute {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub(crate) fn start() -> std::io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).max(COMPUTE_THREADS_MIN);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("compute")
            .thread_stack_size(THREAD_STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs a bound plan to its end, once `recheck` has looked at it where there is one. Dropping the future stops the
    /// plan at its next pause. The inner error came of rows, the outer came before any was read.
    ///
    /// # Errors
    /// Where the plan is refused, fails, pairs too many rows, or gives more than `rows_max` rows.
    pub(crate) async fn collect(
        &self,
        session: &SessionContext,
        plan: LogicalPlan,
        rows_max: usize,
        what: &'static str,
        recheck: Option<Arc<Recheck>>,
    ) -> Result<Result<Vec<RecordBatch>, QueryError>, QueryError> {
        let state = session.state();
        let work = async move {
            let stream = rows(&state, plan, recheck.as_deref()).await?;
            let whole = AssertUnwindSafe(whole(stream, rows_max, what)).catch_unwind().await;
            Ok(whole.unwrap_or_else(|_| Err(QueryError::Execution("the engine panicked".to_owned()))))
        };
        self.run(work).await
    }

    /// The plan that [`Self::collect`] would run, as text. It runs nothing.
    ///
    /// # Errors
    /// Where the plan cannot be made.
    pub(crate) async fn explain(&self, session: &SessionContext, plan: LogicalPlan) -> Result<String, QueryError> {
        let state = session.state();
        // This rule answers from counts and bounds of columns. A shown plan has no values but those of the question.
        let rules = state.physical_optimizers().iter().filter(|rule| rule.name() != "aggregate_statistics");
        let rules = rules.cloned().collect();
        let state = SessionStateBuilder::new_from_existing(state.clone()).with_physical_optimizer_rules(rules).build();
        let work = async move {
            let plan = state.create_physical_plan(&plan).await?;
            Ok(displayable(plan.as_ref()).indent(false).to_string().trim_end().to_owned())
        };
        self.run(work).await
    }

    /// Runs `work` on these threads. Dropping the future stops it at its next pause.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let stopped = || QueryError::Execution("the region is stopping".to_owned());
        let task = self.runtime.as_ref().ok_or_else(stopped)?.spawn(work);
        AbortOnDropHandle::new(task).await.map_err(|e| QueryError::Execution(e.to_string()))?
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn whole(
    mut stream: SendableRecordBatchStream,
    rows_max: usize,
    what: &'static str,
) -> Result<Vec<RecordBatch>, QueryError> {
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows();
        if rows > rows_max {
            return Err(QueryError::TooLarge { what, limit: rows_max, unit: "rows" });
        }
        batches.push(batch);
    }
    Ok(batches)
}

/// The rows of a bound plan as they come.
///
/// # Errors
/// Where the plan cannot be made, is refused, or pairs too many rows.
pub(crate) async fn rows(
    state: &SessionState,
    plan: LogicalPlan,
    recheck: Option<&Recheck>,
) -> Result<SendableRecordBatchStream, QueryError> {
    let plan = state.create_physical_plan(&plan).await?;
    recheck.map_or(Ok(()), |recheck| recheck.check(&plan))?;
    check_pairs(&plan)?;
    Ok(execute_stream(plan, state.task_ctx())?)
}

/// Refuses joins that have to look at every pair of rows of two large inputs: such a join does not pause before it is
/// done, so no time limit could end it.
fn check_pairs(plan: &Arc<dyn ExecutionPlan>) -> Result<(), QueryError> {
    let mut too_many = false;
    let statistics = StatisticsContext::new();
    plan.apply(|node| {
        if node.downcast_ref::<NestedLoopJoinExec>().is_some() || node.downcast_ref::<CrossJoinExec>().is_some() {
            let mut pairs = 1_usize;
            for child in node.children() {
                let rows = statistics.compute(child.as_ref(), &StatisticsArgs::new())?.num_rows;
                pairs = pairs.saturating_mul(rows.get_value().copied().unwrap_or(1).max(1));
            }
            too_many |= pairs > JOIN_PAIRS_MAX;
        }
        Ok(if too_many { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if too_many {
        let what = "a join without an equality, by the pairs of rows it compares,";
        return Err(QueryError::TooLarge { what, limit: JOIN_PAIRS_MAX, unit: "pairs" });
    }
    Ok(())
}
