//! Shadows: questions that were answered with one version of a plugin are asked again with another, off the way of the
//! answer, and the answers compared. What differs is shown in this region and never leaves it.

mod compare;
mod order;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use domicile_types::limits::{SHADOW_ANSWER_BYTES_MAX, SHADOW_QUEUE_MAX, SHADOW_TIMEOUT};
use domicile_types::{QueryId, RegionId};
use domicile_wire::WireError;
use domicile_wire::plugins::{Release, ShadowReport, VersionRef};
use tokio::sync::mpsc;

use super::set::PluginSet;
use crate::QueryError;
use crate::region::Region;
use crate::run::{Answer, QueryRequest, run_with};
use tally::{Pair, Tally};

pub(crate) use order::order_matters;

/// What comes behind the id of a question in the id of its shadow, so that receipts tell them apart.
const SHADOW_ID: &str = "shadow";

/// An answer, and whether the order of its rows says something that its rows do not.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) answer: Answer,
    pub(crate) order_matters: bool,
}

/// A question to ask again.
#[derive(Debug)]
struct Job {
    request: QueryRequest,
    release: Release,
    active: PluginSet,
    shadow: PluginSet,
    taken: Taken,
}

/// What came of asking again.
#[derive(Debug)]
enum Outcome {
    Compared(Box<compare::Compared>),
    Failed(String),
    Dropped,
    Unsteady,
}

/// The shadows of a region.
#[derive(Debug)]
pub(crate) struct Shadows {
    jobs: mpsc::Sender<Job>,
    /// Taken by whoever asks again.
    waiting: Mutex<Option<mpsc::Receiver<Job>>>,
    tallies: Mutex<BTreeMap<String, Tally>>,
}

impl Shadows {
    pub(crate) fn new() -> Self {
        let (jobs, waiting) = mpsc::channel(SHADOW_QUEUE_MAX);
        Self { jobs, waiting: Mutex::new(Some(waiting)), tallies: Mutex::default() }
    }

    /// Lets the question be asked again for each shadow of a plugin that its answer used. Never waits.
    pub(crate) fn offer(&self, request: &QueryRequest, plugins: &PluginSet, taken: &Taken) {
        let bytes: usize = taken.answer.batches.iter().map(RecordBatch::get_array_memory_size).sum();
        for (release, shadow) in plugins.shadows(&taken.answer.facts.plugins) {
            let taken = Taken { answer: taken.answer.clone(), order_matters: taken.order_matters };
            let job = Job { request: request.clone(), release, active: plugins.clone(), shadow, taken };
            if bytes > SHADOW_ANSWER_BYTES_MAX {
                self.note(&job.release, |tally| tally.add(&Outcome::Dropped));
            } else if let Err(refused) = self.jobs.try_send(job) {
                self.note(&refused.into_inner().release, |tally| tally.add(&Outcome::Dropped));
            }
        }
    }

    /// How a shadow does.
    pub(crate) fn report(&self, release: &Release, shadow: &VersionRef) -> ShadowReport {
        let pair = Pair::of(release, shadow);
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.get(&release.name).filter(|tally| tally.pair == pair).cloned();
        tally.unwrap_or_else(|| Tally::new(pair)).report(&release.name)
    }

    /// Changes the tally of a release's shadow. Counts of another pair of versions end where a new pair begins.
    fn note(&self, release: &Release, change: impl FnOnce(&mut Tally)) {
        let Some(shadow) = &release.shadow else { return };
        let pair = Pair::of(release, shadow);
        // A tally is whole after every step, so a poisoned lock is still good.
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry(release.name.clone()).or_insert_with(|| Tally::new(pair.clone()));
        if tally.pair != pair {
            *tally = Tally::new(pair);
        }
        change(tally);
    }
}

/// Asks questions again for as long as the region is there, one at a time. Only the first caller does anything.
pub async fn run_shadows(region: Arc<Region>) {
    let waiting = region.shadows.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut waiting) = waiting else { return };
    while let Some(job) = waiting.recv().await {
        let still = region.plugins().release(&job.release.name).is_ok_and(|now| now.shadow == job.release.shadow);
        if still {
            ask_again(&region, job).await;
        }
    }
}

async fn ask_again(region: &Region, job: Job) {
    let shadows = &region.shadows;
    if region.query_slots.available_permits() == 0 {
        return shadows.note(&job.release, |tally| tally.add(&Outcome::Dropped));
    }
    let again = run_with(region, asked_again(&job.request, None), job.shadow.clone()).await;
    let outcome = match again {
        Err(error) if is_denied(&error) => {
            shadows.note(&job.release, |tally| tally.denied += 1);
            ask_here(region, &job).await
        }
        Err(error) => Outcome::Failed(error.to_string()),
        Ok(again) => {
            shadows.note(&job.release, |tally| tally.border_bytes += again.answer.facts.border_bytes);
            compared(&job.request.id, &job.taken, &again)
        }
    };
    shadows.note(&job.release, |tally| tally.add(&outcome));
}

/// Where the shadow's part may not cross a border, both versions are asked for this region's own rows only.
async fn ask_here(region: &Region, job: &Job) -> Outcome {
    let here = asked_again(&job.request, Some(region.id()));
    let Ok(active) = run_with(region, here.clone(), job.active.clone()).await else { return Outcome::Unsteady };
    match run_with(region, here, job.shadow.clone()).await {
        Ok(again) => compared(&job.request.id, &active, &again),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn asked_again(request: &QueryRequest, only: Option<&RegionId>) -> QueryRequest {
    let mut again = request.clone();
    // An id with more letters of the allowed ones is one too; otherwise the question's own serves.
    if let Ok(id) = format!("{}{SHADOW_ID}", request.id).parse() {
        again.id = id;
    }
    again.timeout = SHADOW_TIMEOUT.min(request.timeout);
    if let Some(only) = only {
        again.scope = Some(BTreeSet::from([only.clone()]));
    }
    again
}

fn is_denied(error: &QueryError) -> bool {
    match error {
        QueryError::Denied(_) => true,
        QueryError::Wire(WireError::Refused(problem)) => problem.status == 403,
        _ => false,
    }
}

fn compared(id: &QueryId, taken: &Taken, again: &Taken) -> Outcome {
    let (facts, other) = (&taken.answer.facts, &again.answer.facts);
    if facts.as_of != other.as_of || facts.coverage.answered != other.coverage.answered {
        return Outcome::Unsteady;
    }
    let ordered = taken.order_matters || again.order_matters;
    Outcome::Compared(Box::new(compare::Compared {
        active_ms: facts.elapsed_ms,
        shadow_ms: other.elapsed_ms,
        difference: compare::difference(id, &taken.answer, &again.answer, ordered),
    }))
}
