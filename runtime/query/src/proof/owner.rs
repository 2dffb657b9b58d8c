//! The owning region's word on a crossing: asked for, and given.

use std::time::Duration;

use bytes::Bytes;
use domicile_policy::{Budget, ColumnUse, FragmentFacts, Verdict};
use domicile_types::RegionId;
use domicile_types::limits::QUERY_TIMEOUT_MAX;
use domicile_wire::WireError;
use domicile_wire::api::FragmentRequest;
use domicile_wire::explain::{BudgetTerms, ColumnRole, CrossingTerms, NoiseTerms, Prediction};
use domicile_wire::receipt::sha256;
use http::Method;
use tracing::Instrument;

use crate::QueryError;
use crate::crossing::clauses;
use crate::history::History;
use crate::ledger::AskedFor;
use crate::opaque::opaque;
use crate::predict::{self, Known};
use crate::region::Region;
use crate::remote::{Asked, FRAGMENT_PATH, Question, Ready};
use crate::reply::destination;

impl Asked<'_> {
    /// The request that asks another region.
    pub(crate) fn to_request(&self) -> FragmentRequest {
        FragmentRequest {
            query_id: self.query.to_string(),
            sql: self.sql.to_owned(),
            purpose: self.purpose.map(str::to_owned),
            plugins: self.pins.clone(),
            partial_of: self.partial_of.map(str::to_owned),
            token: self.client.token().cloned(),
            explain: false,
            home: (self.at != self.home).then(|| self.home.to_string()),
            staleness_max_ms: self.staleness_max_ms,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The request that asks only for the terms.
    pub(super) fn to_explain(&self) -> FragmentRequest {
        FragmentRequest { explain: true, ..self.to_request() }
    }
}

/// Asks the home of a fragment under which terms it would answer.
///
/// # Errors
/// Where it refuses, or does not answer.
pub(super) async fn ask_owner(region: &Region, asked: Asked<'_>) -> Result<CrossingTerms, WireError> {
    let peer = region.peers.iter().find(|peer| peer.id == *asked.home);
    let peer = peer.ok_or_else(|| WireError::UnknownPeer { region: asked.home.to_string() })?;
    let malformed = |detail: String| WireError::Malformed { url: peer.url.clone(), detail };
    let timeout = asked.timeout;
    let request = asked.to_explain();
    let body = serde_json::to_vec(&request).map_err(|e| malformed(e.to_string()))?;
    let answer = region.client.send(peer, Method::POST, FRAGMENT_PATH, Bytes::from(body), timeout).await?;
    serde_json::from_slice(&answer.body).map_err(|e| malformed(e.to_string()))
}

/// Tells `caller`, another region, under which terms the result of a fragment would cross to it, by this region's own
/// policies. Nothing is executed, and of rows no more is told than their number, rounded.
///
/// # Errors
/// Where the policies refuse, or the fragment is not valid.
pub async fn explain_fragment(
    region: &Region,
    caller: &RegionId,
    request: FragmentRequest,
) -> Result<CrossingTerms, QueryError> {
    let timeout = Duration::from_millis(request.timeout_ms).min(QUERY_TIMEOUT_MAX);
    let span = tracing::info_span!("explain", query_id = request.query_id, from = %region.id, to = %caller);
    let told = async {
        let _slot = region.fragment_slots.acquire().await;
        if request.partial_of.is_some() {
            return Err(QueryError::sql("what a query plugin makes of its input is not explained", None));
        }
        let catalog = region.catalog();
        let question = Question {
            home: &region.id,
            staleness_max_ms: None,
            catalog: &catalog,
            sql: &request.sql,
            purpose: request.purpose.as_deref(),
            pins: &request.plugins,
            partial_of: None,
        };
        let to = destination(region, &region.id, caller, &request)?;
        let ready = Ready::new(region, &to, question).await?;
        let verdict = ready.admitted.verdict.clone();
        let verdict = verdict.unwrap_or_else(|| Verdict::unconditional(ready.admitted.fragment.facts.form));
        let asked = AskedFor {
            to: to.label(&region.id),
            tenant: to.client.record().map(|client| client.tenant),
            purpose: request.purpose.clone(),
            question: sha256(request.sql.as_bytes()).to_string(),
        };
        let (predicted, prediction) = predicted(region, asked, &ready).await?;
        let told = terms(&ready.admitted.fragment.facts, &verdict, predicted, prediction);
        Ok(CrossingTerms { budgets: budgets_left(region, to.tenant(), verdict.budgets).await?, ..told })
    };
    let told = async { told.await.map_err(|error| opaque(error, &region.id)) }.instrument(span);
    tokio::time::timeout(timeout, told).await.map_err(|_| QueryError::TimedOut { timeout_ms: timeout.as_millis() })?
}

/// The bytes that would cross: those of the latest answer to the same question, or else a bound.
async fn predicted(region: &Region, asked: AskedFor, ready: &Ready) -> Result<(Option<u64>, Prediction), QueryError> {
    let remembered = region.ledger.run(move |ledger| ledger.size_of(&asked)).await?;
    if let Some(bytes) = remembered {
        return Ok((Some(predict::rounded(bytes)), Prediction::Remembered));
    }
    let known = Known { catalog: &ready.catalog, snapshot: &ready.snapshot, home: &region.id };
    let bound = predict::bound(&ready.admitted.fragment, known)?;
    Ok((bound, if bound.is_some() { Prediction::Bound } else { Prediction::Unknown }))
}

/// Budgets, and what the tenant has left of each.
async fn budgets_left(region: &Region, tenant: &str, budgets: Vec<Budget>) -> Result<Vec<BudgetTerms>, QueryError> {
    let (tenant, today) = (tenant.to_owned(), region.today());
    let left = move |history: &mut History| {
        let left = |of: &Budget| BudgetTerms { left: Some(history.left(&tenant, of, today)), ..budget(of) };
        budgets.iter().map(left).collect()
    };
    Ok(region.history.run(left).await?)
}

/// A verdict in words that travel.
pub(super) fn terms(
    facts: &FragmentFacts,
    verdict: &Verdict,
    predicted_bytes: Option<u64>,
    prediction: Prediction,
) -> CrossingTerms {
    let lists = [
        ("output", &facts.outputs),
        ("group key", &facts.group_by),
        ("measure", &facts.measures),
        ("filter", &facts.filters),
    ];
    let mask = |column: &ColumnUse| verdict.masks.get(&column.dataset)?.get(&column.column).map(ToString::to_string);
    let role = |role: &'static str| {
        move |column: &ColumnUse| ColumnRole { column: column.to_string(), role: role.to_owned(), mask: mask(column) }
    };
    CrossingTerms {
        form: verdict.form.to_string(),
        columns: lists.into_iter().flat_map(|(name, list)| list.iter().map(role(name))).collect(),
        functions: facts.functions.iter().cloned().collect(),
        clauses: clauses(verdict).collect(),
        minimum_entities: verdict.minimum_entities,
        dominance_percent: verdict.dominance_percent,
        round_to: verdict.round_to,
        differential_privacy: verdict
            .differential_privacy
            .map(|noise| NoiseTerms { epsilon: noise.epsilon(), rows_per_entity_max: noise.rows_per_entity_max }),
        difference_checks: verdict.difference_checks,
        snapshot_hours: verdict.snapshot_hours,
        budgets: verdict.budgets.iter().map(budget).collect(),
        predicted_bytes,
        prediction,
    }
}

fn budget(budget: &Budget) -> BudgetTerms {
    BudgetTerms {
        dataset: budget.dataset.to_string(),
        clause: budget.clause.clone(),
        questions: budget.questions,
        days: budget.days,
        left: None,
    }
}
