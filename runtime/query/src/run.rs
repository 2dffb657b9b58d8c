//! The way of a query: plan, admit, ask the regions, merge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use domicile_types::limits::{ANSWER_ROWS_MAX, QUERY_TIMEOUT_PARTS};
use domicile_types::{PluginName, QueryId, RegionId};
use domicile_wire::WireError;
use domicile_wire::api::{AnswerColumn, AnswerFacts, Coverage, ReceiptSummary, RegionReason};
use domicile_wire::plugins::PluginUse;
use domicile_wire::receipt::SignedReceipt;
use tokio::sync::{AcquireError, SemaphorePermit};

use crate::QueryError;
use crate::admit::{AdmittedPlan, Asking, admit};
use crate::bind::Binder;
use crate::catalog::{Catalog, session_state};
use crate::client::Client;
use crate::opaque::opaque;
use crate::parse::{Question, question};
use crate::parts::Parts;
use crate::plugins::{PluginSet, Taken, order_matters};
use crate::reference::lacks;
use crate::region::Region;
use crate::remote::Asked;
use crate::rewrites::Rewriter;
use crate::routes::ask_nearest;
use crate::system;
use crate::total::total;

/// A question, checked and complete.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// Its id, the same in every region.
    pub id: QueryId,
    /// Who asks.
    pub client: Client,
    /// One `SELECT` over the datasets of all regions.
    pub sql: String,
    /// What the answer is for.
    pub purpose: Option<String>,
    /// Homes to ask; all where none are named.
    pub scope: Option<BTreeSet<RegionId>>,
    /// How old copies may be that answer in place of homes; where it is not said, a copy answers only where its home does
    /// not.
    pub staleness_max: Option<Duration>,
    /// Whether an answer without some homes is welcome.
    pub partial: bool,
    /// Longest it may take.
    pub timeout: Duration,
    /// Parameters of one mapper or query plugin.
    pub parameters: Option<(PluginName, BTreeMap<String, String>)>,
    /// The query plugin that answers, from its own SQL, instead of `sql`.
    pub query_plugin: Option<PluginName>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Schema of the rows.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Everything else about it.
    pub facts: AnswerFacts,
}

/// Answers a question. Each plugin that has a canary is picked once for all regions and all of the question; what its
/// answer used and has a shadow is asked again later.
///
/// # Errors
/// Where it is not valid, may not be answered, or was not answered in time or by every home.
pub async fn run(region: &Region, request: QueryRequest) -> Result<Answer, QueryError> {
    let plugins = region.plugins().picked_for(&request.id);
    let taken = run_with(region, request.clone(), plugins.clone()).await?;
    region.shadows.offer(&request, &plugins, &taken);
    Ok(taken.answer)
}

/// Answers a question with these plugins.
///
/// # Errors
/// As for [`run`].
pub(crate) async fn run_with(region: &Region, request: QueryRequest, plugins: PluginSet) -> Result<Taken, QueryError> {
    let timeout = request.timeout;
    let elsewhere = !request.client.stands_at(&region.id);
    let answer = async {
        let mut query = Query::new(region, request, plugins)?;
        let slot = region.query_slots.acquire().await;
        if let Some(name) = query.request.query_plugin.clone() {
            drop(slot);
            let _slots = plugin_slots(region).await;
            query.used = query.plugins.used_as(&name);
            let mut count = query.plugins.count(&query.used);
            let answer = query.answer_of(&name).await?;
            count.answered = true;
            return Ok(Taken { answer, order_matters: false });
        }
        match query.question().await? {
            Question::Rows(plan) => {
                let of_itself = system::read_by(&plan)?;
                if !of_itself.is_empty() {
                    return Ok(Taken { answer: query.of_itself(plan, of_itself).await?, order_matters: true });
                }
                query.used = query.plugins.used_by(&plan)?;
                let _slots = if query.used.is_empty() {
                    (slot, None)
                } else {
                    drop(slot);
                    plugin_slots(region).await
                };
                let order_matters = order_matters(&plan);
                let mut count = query.plugins.count(&query.used);
                let admitted = query.admit(plan).await?;
                let parts = query.ask(&admitted, None).await?;
                let answer = query.merge(admitted, parts).await?;
                count.answered = true;
                Ok(Taken { answer, order_matters })
            }
            Question::Explain(plan) => {
                let admitted = query.admit(plan).await?;
                Ok(Taken { answer: query.explain(admitted).await?, order_matters: false })
            }
            Question::Residency(plan) => {
                let rows = query.prove(plan).await?.rows()?;
                Ok(Taken { answer: query.explained(rows), order_matters: true })
            }
        }
    };
    let answer = async { answer.await.map_err(|error| if elsewhere { opaque(error, &region.id) } else { error }) };
    tokio::time::timeout(timeout, answer).await.map_err(|_| QueryError::TimedOut { timeout_ms: timeout.as_millis() })?
}

/// The place of a question that calls plugins.
async fn plugin_slots(region: &Region) -> (Place<'_>, Option<Place<'_>>) {
    let of_plugins = region.plugin_query_slots.acquire().await;
    (region.query_slots.acquire().await, Some(of_plugins))
}

/// A place among the questions; none only where the region is stopping.
type Place<'r> = Result<SemaphorePermit<'r>, AcquireError>;

/// A question under way.
pub(crate) struct Query<'r> {
    pub(crate) region: &'r Region,
    /// Of the moment when the question came: it is planned, admitted and merged under one set of policies.
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) request: QueryRequest,
    pub(crate) plugins: PluginSet,
    /// What of them the question uses.
    used: Vec<PluginUse>,
    started: Instant,
}

impl<'r> Query<'r> {
    pub(crate) fn new(region: &'r Region, request: QueryRequest, mut plugins: PluginSet) -> Result<Self, QueryError> {
        request.client.check_purpose(request.purpose.as_deref())?;
        let known = region.regions();
        for home in request.scope.iter().flatten() {
            if !known.contains(home) {
                return Err(QueryError::unknown("region", home.as_str(), known.iter().map(RegionId::as_str)));
            }
        }
        if let Some((name, given)) = request.parameters.clone() {
            plugins = plugins.with_parameters(&name, given)?;
        }
        let catalog = region.catalog();
        Ok(Self { region, catalog, request, plugins, used: Vec::new(), started: Instant::now() })
    }

    pub(crate) async fn question(&self) -> Result<Question, QueryError> {
        let session = self.catalog.planning_session(&self.plugins, &self.region.runtime)?;
        system::register(&session, &self.region.system)?;
        question(&session, &self.request.sql).await
    }

    /// Admits the plan of the question's own text; a denial has rewrites of that.
    ///
    /// # Errors
    /// As [`admit`].
    pub(crate) async fn admit(&self, plan: LogicalPlan) -> Result<AdmittedPlan, QueryError> {
        match admit(plan, &self.catalog, self.asking()) {
            Err(QueryError::Denied(denial)) => {
                Err(QueryError::Denied(self.rewriter().offered(&self.request.sql, denial).await))
            }
            done => done,
        }
    }

    pub(crate) fn rewriter(&self) -> Rewriter<'_> {
        self.region.rewriter(&self.catalog, &self.plugins, self.asking())
    }

    /// How long homes may take from now on.
    pub(crate) fn for_homes(&self) -> Duration {
        let remaining = self.request.timeout.saturating_sub(self.started.elapsed());
        remaining - remaining / QUERY_TIMEOUT_PARTS
    }

    pub(crate) fn asking(&self) -> Asking<'_> {
        Asking {
            here: &self.region.id,
            client: &self.request.client,
            scope: self.request.scope.as_ref(),
            purpose: self.request.purpose.as_deref(),
            today: self.region.today(),
        }
    }

    /// Asks every home for its part; with `partial_of`, for what that query plugin makes of it.
    ///
    /// # Errors
    /// Where a home refuses, or does not answer and the caller wants all.
    pub(crate) async fn ask(&self, admitted: &AdmittedPlan, partial_of: Option<&str>) -> Result<Parts, QueryError> {
        let for_homes = self.for_homes();
        let staleness_max_ms = self.request.staleness_max.map(|max| u64::try_from(max.as_millis()).unwrap_or(u64::MAX));
        let asked = admitted.fragments.iter().enumerate().flat_map(|(index, (text, homes))| {
            homes.iter().map(move |home| Asked {
                fragment: index,
                home,
                at: home,
                staleness_max_ms,
                catalog: &self.catalog,
                sql: &text.sql,
                pins: self.plugins.pins(&text.fragment.facts.functions),
                partial_of,
                query: &self.request.id,
                purpose: self.request.purpose.as_deref(),
                client: &self.request.client,
                timeout: for_homes,
            })
        });
        let answers = futures::future::join_all(asked.map(|asked| {
            let datasets = &admitted.fragments[asked.fragment].0.fragment.facts.datasets;
            ask_nearest(self.region, asked, datasets)
        }))
        .await;
        let (mut parts, mut given) = (self.no_parts(admitted), Vec::new());
        for answer in answers {
            match answer {
                Ok(Ok(part)) => given.push(part),
                Ok(Err(missing)) => parts.miss(missing),
                Err(QueryError::Wire(WireError::Refused(problem))) => {
                    let problem = self.rewriter().relayed(*problem).await;
                    return Err(WireError::Refused(Box::new(problem)).into());
                }
                Err(other) => return Err(other),
            }
        }
        let reader = &self.region.reader;
        for lack in lacks(&given, admitted, &self.region.id, reader, &reader.snapshot())? {
            if !self.request.partial {
                return Err(lack.into());
            }
            let reason = format!("it holds no rows of the reference dataset `{}`; load it there", lack.dataset);
            parts.miss(RegionReason { region: lack.region.to_string(), reason });
        }
        given.into_iter().try_for_each(|part| parts.add(part, admitted))?;
        if !parts.coverage.full && !self.request.partial {
            return Err(QueryError::Coverage { missing: parts.coverage.missing });
        }
        Ok(parts)
    }

    fn no_parts(&self, admitted: &AdmittedPlan) -> Parts {
        self.no_parts_of(admitted.fragments.len(), admitted.fragments.is_empty())
    }

    /// Parts of so many fragments before any region gave one; with `only_here`, of a question for this region alone.
    pub(crate) fn no_parts_of(&self, fragments: usize, only_here: bool) -> Parts {
        let answered = if only_here { vec![self.region.id.to_string()] } else { Vec::new() };
        let version = self.region.reader.snapshot().version;
        Parts {
            batches: vec![Vec::new(); fragments],
            as_of: answered.iter().map(|region| (region.clone(), version)).collect(),
            coverage: Coverage { full: true, answered, missing: Vec::new(), stood_in: Vec::new() },
            region_ms: BTreeMap::new(),
            suppressed: BTreeMap::new(),
            epsilon_millionths: BTreeMap::new(),
            border_bytes: 0,
            receipts: Vec::new(),
        }
    }

    async fn merge(self, admitted: AdmittedPlan, parts: Parts) -> Result<Answer, QueryError> {
        let session = SessionContext::new_with_state(session_state(&self.region.runtime)?);
        let plan = self.bind(admitted, &parts, &session)?;
        let schema: SchemaRef = Arc::clone(plan.schema().inner());
        let batches = self.region.compute.collect(&session, plan, ANSWER_ROWS_MAX, "the answer", None).await??;
        Ok(self.answer(schema, batches, parts))
    }

    /// The rest of the plan over the parts and the region's own rows.
    pub(crate) fn bind(
        &self,
        admitted: AdmittedPlan,
        parts: &Parts,
        session: &SessionContext,
    ) -> Result<LogicalPlan, QueryError> {
        let mut partials: BTreeMap<usize, Arc<dyn TableProvider>> = BTreeMap::new();
        for (index, (text, _)) in admitted.fragments.iter().enumerate() {
            let table = MemTable::try_new(Arc::clone(&text.schema), vec![parts.batches_of(index)])?;
            partials.insert(index, Arc::new(table));
        }
        let mut homes = admitted.fragments.iter().flat_map(|(_, homes)| homes.iter());
        let crossed = !self.request.client.stands_at(&self.region.id) || homes.any(|home| *home != self.region.id);
        let snapshot = self.region.reader.snapshot();
        let binder = Binder::new(
            &admitted.admission,
            &self.catalog,
            &self.region.reader,
            &snapshot,
            &self.plugins,
            session,
            partials,
        );
        let rest = binder.bind(admitted.rest)?;
        // A quotient says the same where regions' parts meet as within one of them.
        Ok(if crossed { total(rest)? } else { rest })
    }

    pub(crate) fn answer(&self, schema: SchemaRef, batches: Vec<RecordBatch>, parts: Parts) -> Answer {
        self.region.remember(self.request.id.as_str(), &self.request.client, parts.receipts.clone());
        let facts = self.facts(&schema, &batches, parts);
        Answer { schema, batches, facts }
    }

    fn facts(&self, schema: &SchemaRef, batches: &[RecordBatch], parts: Parts) -> AnswerFacts {
        let column = |field: &arrow::datatypes::FieldRef| AnswerColumn {
            name: field.name().clone(),
            kind: field.data_type().to_string(),
        };
        let receipt = |signed: &SignedReceipt| ReceiptSummary {
            region: signed.receipt.from.clone(),
            sequence: signed.receipt.sequence,
            bytes: signed.receipt.bytes,
        };
        AnswerFacts {
            query_id: self.request.id.to_string(),
            columns: schema.fields().iter().map(column).collect(),
            row_count: batches.iter().map(RecordBatch::num_rows).sum(),
            coverage: parts.coverage,
            as_of: parts.as_of,
            border_bytes: parts.border_bytes,
            suppressed_groups: parts.suppressed,
            minimum_entities: thresholds(&parts.receipts),
            epsilon: parts.epsilon_millionths.into_iter().map(|(home, it)| (home, it as f64 / 1e6)).collect(),
            plugins: self.used.clone(),
            receipts: parts.receipts.iter().map(receipt).collect(),
            region_ms: parts.region_ms,
            served_by: self.region.id.to_string(),
            elapsed_ms: self.started.elapsed().as_secs_f64() * 1e3,
        }
    }
}

/// Fewest entities that groups of each region needed, where they needed several.
fn thresholds(receipts: &[SignedReceipt]) -> BTreeMap<String, u64> {
    let several = receipts.iter().map(|signed| &signed.receipt).filter(|receipt| receipt.minimum_entities > 1);
    let mut thresholds = BTreeMap::new();
    for receipt in several {
        let threshold = thresholds.entry(receipt.from.clone()).or_default();
        *threshold = receipt.minimum_entities.max(*threshold);
    }
    thresholds
}
