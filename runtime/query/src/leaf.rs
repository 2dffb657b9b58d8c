//! One region executes one fragment: the same path for its own questions and for those of other regions, except that
//! what crosses a border passes the egress guard.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{Aggregate, LogicalPlan, LogicalPlanBuilder, col, ident};
use datafusion::prelude::SessionContext;
use domicile_policy::Verdict;
use domicile_types::RegionId;
use domicile_types::limits::FRAGMENT_ROWS_MAX;

use crate::QueryError;
use crate::about::bind_about;
use crate::admit::AdmittedFragment;
use crate::bind::Binder;
use crate::definition::Definition;
use crate::fragment::Shape;
use crate::guard::{self, GuardColumns, Guarded, Judged, MarkKey};
use crate::history::{Asked, History};
use crate::key_domains::Listed;
use crate::noise::{self, Noised};
use crate::opaque::kept_back;
use crate::region::Region;
use crate::total::total;

/// What a fragment gives.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rows: u64,
    /// Groups held back, rounded up to a multiple of the threshold, where as many entities as that are behind them; 0
    /// where there are fewer, since that there are any would itself tell about groups that are too small.
    pub(crate) suppressed: u64,
}

/// To whom a fragment's result is released, and for what question.
#[derive(Debug, Clone)]
pub(crate) struct Recipient {
    /// Who shares what is learned.
    pub(crate) tenant: String,
    /// Digest of the question and all that it is computed with.
    pub(crate) question: String,
}

impl Recipient {
    /// The same, where a question with noise is another one as soon as anything was stored: who asks again would average
    /// the noise away, and must not learn either whether what they ask about is what has changed.
    pub(crate) fn of_state(mut self, verdict: Option<&Verdict>, version: u64) -> Self {
        if verdict.is_some_and(|verdict| verdict.differential_privacy.is_some()) {
            self.question = format!("{} {version}", self.question);
        }
        self
    }
}

/// Executes an admitted fragment. `names` are its outputs in order: index of the computed column, and name.
///
/// # Errors
/// Where the plan cannot be made, memory or a budget is used up, or, where no group is judged, the execution fails.
pub(crate) async fn execute(
    region: &Region,
    admitted: &AdmittedFragment,
    names: &[(usize, String)],
    binder: &Binder<'_>,
    session: &SessionContext,
    recipient: &Recipient,
) -> Result<Released, QueryError> {
    let Prepared { plan, guards, noised } = guarded(admitted, names, binder, region.mark_key, &admitted.home)?;
    let schema: SchemaRef = Arc::clone(plan.schema().inner());
    let batches =
        region.compute.collect(session, plan, FRAGMENT_ROWS_MAX, "a fragment's result", binder.recheck()).await?;
    let (Some(verdict), Some(guards)) = (&admitted.verdict, guards) else {
        if let (Some(verdict), Some(noised)) = (&admitted.verdict, noised) {
            let batches = batches.or_else(|error| kept_back(error).map(|()| Vec::new()))?;
            let (names, round_to) = (names.to_vec(), verdict.round_to);
            let rows = drawn(move || noised.released(&schema, &batches, &names, round_to)).await?;
            return release_noised(region, verdict, rows, recipient).await;
        }
        let batches = batches?;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        return Ok(Released { schema, batches, rows, suppressed: 0 });
    };
    // That something failed at a row would tell of the row. Of no row there is nothing to tell.
    let batches = batches.or_else(|error| kept_back(error).map(|()| Vec::new()))?;
    let keys = admitted.fragment.keys();
    let is_value: Vec<bool> = names.iter().map(|(index, _)| *index >= keys).collect();
    let Shape::Groups { input, group, .. } = &admitted.fragment.shape else {
        let judged = guard::judge(&schema, &batches, &is_value, &guards, None, verdict)?;
        return release(region, verdict, judged, recipient).await;
    };
    let definition = Definition::of(region.mark_key, input, group)?;
    let indexes: Vec<usize> = names.iter().map(|(index, _)| *index).filter(|index| *index < keys).collect();
    let fixed = &admitted.fragment.fixed;
    let (policies, home) = (binder.policies(), &admitted.home);
    let listed = Listed { definition: &definition, fixed, verdict, policies, home };
    let domains = listed.domains(&indexes, input.schema(), group)?;
    // Noise comes before rounding, which would show how near a number is to the next step.
    let unrounded = Verdict { round_to: if noised.is_some() { 0 } else { verdict.round_to }, ..verdict.clone() };
    let mut judged = guard::judge(&schema, &batches, &is_value, &guards, domains.as_ref(), &unrounded)?;
    judged.define(&definition, &indexes)?;
    if let Some(noised) = noised {
        let (rows, names, round_to) = (judged.rows.clone(), names.to_vec(), verdict.round_to);
        judged.rows = drawn(move || noised.noise(&rows, &names, round_to)).await?;
    }
    release(region, verdict, judged, recipient).await
}

/// What leaves of judged groups, after it is compared with what left before.
async fn release(
    region: &Region,
    verdict: &Verdict,
    judged: Judged,
    recipient: &Recipient,
) -> Result<Released, QueryError> {
    let (rows, suppressed) = if Asked::is_remembered(verdict) {
        let asked = region.asked(verdict, recipient);
        let release = move |history: &mut History| {
            let rows = history.release(&asked, &judged)?;
            let suppressed = judged.suppressed(rows.num_rows());
            Ok::<_, QueryError>((rows, suppressed))
        };
        region.history.run(release).await??
    } else {
        (judged.released()?, judged.suppressed(judged.open_groups()))
    };
    Ok(Released { schema: rows.schema(), rows: rows.num_rows() as u64, batches: vec![rows], suppressed })
}

/// Draws noise on a thread of its own: of many groups that takes a while.
async fn drawn(
    draw: impl FnOnce() -> Result<RecordBatch, QueryError> + Send + 'static,
) -> Result<RecordBatch, QueryError> {
    tokio::task::spawn_blocking(draw).await.map_err(|e| QueryError::Execution(e.to_string()))?
}

/// What leaves of numbers with noise: those of before, where the same was asked and nothing has changed.
async fn release_noised(
    region: &Region,
    verdict: &Verdict,
    rows: RecordBatch,
    recipient: &Recipient,
) -> Result<Released, QueryError> {
    let asked = region.asked(verdict, recipient);
    let rows = region.history.run(move |history| history.release_noised(&asked, rows)).await??;
    Ok(Released { schema: rows.schema(), rows: rows.num_rows() as u64, batches: vec![rows], suppressed: 0 })
}

/// The plan of an admitted fragment over the region's rows.
///
/// # Errors
/// Where a table cannot be opened.
pub(crate) fn plan(
    admitted: &AdmittedFragment,
    names: &[(usize, String)],
    binder: &Binder<'_>,
    key: MarkKey,
    home: &RegionId,
) -> Result<LogicalPlan, QueryError> {
    Ok(guarded(admitted, names, binder, key, home)?.plan)
}

/// A plan, and how what it gives is judged and noised.
struct Prepared {
    plan: LogicalPlan,
    /// The guard's own columns, which come last.
    guards: Option<GuardColumns>,
    noised: Option<Noised>,
}

/// The plan, with the guard's own columns last where there are any.
fn guarded(
    admitted: &AdmittedFragment,
    names: &[(usize, String)],
    binder: &Binder<'_>,
    key: MarkKey,
    home: &RegionId,
) -> Result<Prepared, QueryError> {
    let mut guards = None;
    let noised = admitted.noised(binder.policies(), home)?;
    let plan = match (&admitted.fragment.shape, &admitted.verdict) {
        (Shape::Rows(plan), _) => project(binder.bind(plan.clone())?, names, &[])?,
        (Shape::Groups { input, group, aggregates, linear }, Some(verdict))
            if verdict.minimum_entities > 0 || noised.is_some() =>
        {
            let (mut input, about) = bind_about(binder, input, &admitted.fragment.facts, key)?;
            let mut aggregates = aggregates.clone();
            if let Some(noised) = &noised {
                input = noise::bounded(input, &about, key, noised.terms.rows_per_entity_max)?;
                aggregates = noised.exact(&aggregates)?;
            }
            if verdict.minimum_entities == 0 {
                let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), group.clone(), aggregates)?);
                let plan = total(project(sorted(plan, group.len())?, names, &[])?)?;
                return Ok(Prepared { plan, guards, noised });
            }
            let tables = about.versions.iter().map(|version| version.table.clone()).collect();
            let about = about.of_tables(|table| admitted.fragment.decides(table, &tables, binder.policies()));
            let key = (verdict.minimum_entities > 1).then_some(key);
            let grouping = guard::Grouping { keys: group, aggregates: &aggregates, linear };
            let Guarded { plan, names: own, columns } = guard::plan(input, &about, grouping, verdict, key)?;
            guards = Some(columns);
            project(sorted(plan, group.len())?, names, &own)?
        }
        (Shape::Groups { input, group, aggregates, .. }, _) => {
            let input = Arc::new(binder.bind(input.clone())?);
            let plan = LogicalPlan::Aggregate(Aggregate::try_new(input, group.clone(), aggregates.clone())?);
            project(sorted(plan, group.len())?, names, &[])?
        }
    };
    Ok(Prepared { plan: if admitted.verdict.is_some() { total(plan)? } else { plan }, guards, noised })
}

/// The plan of an admitted fragment that is not judged by groups, over the region's rows.
///
/// # Errors
/// Where the fragment is one of groups, or a table cannot be opened.
pub(crate) fn crossing(admitted: &AdmittedFragment, binder: &Binder<'_>) -> Result<LogicalPlan, QueryError> {
    let Shape::Rows(plan) = &admitted.fragment.shape else {
        return Err(QueryError::Execution("a query plugin's input is read whole".to_owned()));
    };
    let plan = binder.bind(plan.clone())?;
    Ok(if admitted.verdict.is_some() { total(plan)? } else { plan })
}

/// Group keys in order compress several times better than in the order of a hash table, and tell nothing.
fn sorted(plan: LogicalPlan, keys: usize) -> Result<LogicalPlan, QueryError> {
    let keys = plan.schema().columns().into_iter().take(keys).map(|key| col(key).sort(true, true));
    let keys: Vec<_> = keys.collect();
    Ok(if keys.is_empty() { plan } else { LogicalPlanBuilder::from(plan).sort(keys)?.build()? })
}

fn project(plan: LogicalPlan, names: &[(usize, String)], guards: &[String]) -> Result<LogicalPlan, QueryError> {
    let columns = plan.schema().columns();
    let mut outputs = Vec::with_capacity(names.len() + guards.len());
    for (index, name) in names {
        let column = columns.get(*index).cloned();
        let column = column.ok_or_else(|| QueryError::Execution(format!("the fragment has no column {index}")))?;
        outputs.push(col(column).alias(name));
    }
    outputs.extend(guards.iter().map(ident));
    Ok(LogicalPlanBuilder::from(plan).project(outputs)?.build()?)
}
