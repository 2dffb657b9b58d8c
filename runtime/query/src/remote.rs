//! Asking one home for one fragment, and answering another region that asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::prelude::SessionContext;
use domicile_policy::FragmentFacts;
use domicile_store::Snapshot;
use domicile_types::{QueryId, RegionId};
use domicile_wire::api::{FragmentFacts as ReplyFacts, FragmentRequest, PluginPin, RegionReason, header};
use domicile_wire::client::now_unix_ms;
use domicile_wire::receipt::{ClauseRecord, PluginRecord, Receipt, SignedReceipt, sha256};
use domicile_wire::{WireError, frame};
use http::Method;
use tracing::Instrument;

use crate::QueryError;
use crate::admit::{AdmittedFragment, admit_fragment};
use crate::bind::Binder;
use crate::fragment::Fragment;
use crate::leaf::{self, Released};
use crate::parse::parse;
use crate::plugins::PluginSet;
use crate::query_plugin::contribute;
use crate::region::Region;

/// Path of the endpoint that regions ask each other at.
pub const FRAGMENT_PATH: &str = "/v1/peer/fragments";

/// A fragment and where it is asked.
pub(crate) struct Asked<'q> {
    pub(crate) fragment: usize,
    pub(crate) home: &'q RegionId,
    pub(crate) sql: &'q str,
    pub(crate) pins: Vec<PluginPin>,
    /// The query plugin whose contribution is asked for instead of the rows of the fragment.
    pub(crate) partial_of: Option<&'q str>,
    pub(crate) query: &'q QueryId,
    pub(crate) purpose: Option<&'q str>,
    pub(crate) timeout: Duration,
}

/// What a region is asked, by itself or by another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'q> {
    pub(crate) sql: &'q str,
    pub(crate) purpose: Option<&'q str>,
    pub(crate) pins: &'q [PluginPin],
    pub(crate) partial_of: Option<&'q str>,
}

impl Question<'_> {
    /// The plugins as the question pins them.
    ///
    /// # Errors
    /// Where this region does not have one of them, or one is pinned twice.
    pub(crate) fn plugins(&self, region: &Region) -> Result<PluginSet, QueryError> {
        let mut names = BTreeSet::new();
        if let Some(twice) = self.pins.iter().find(|pin| !names.insert(&pin.name)) {
            return Err(QueryError::sql(&format!("plugin `{}` is pinned twice", twice.name), None));
        }
        region.plugins().pinned(self.pins).map_err(|pin| QueryError::PluginMissing {
            region: region.id.clone(),
            name: pin.name,
            sha256: pin.sha256,
        })
    }
}

/// What one home gave for one fragment.
pub(crate) struct Part {
    pub(crate) fragment: usize,
    pub(crate) home: RegionId,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) suppressed: u64,
    pub(crate) as_of: u64,
    pub(crate) elapsed_ms: f64,
    pub(crate) border_bytes: u64,
    pub(crate) receipt: Option<SignedReceipt>,
}

/// Asks the home. The inner error is a home that did not answer, which a caller may accept; the outer is not.
///
/// # Errors
/// Where the home refuses the fragment, or this region fails while computing it.
pub(crate) async fn ask(region: &Region, asked: Asked<'_>) -> Result<Result<Part, RegionReason>, QueryError> {
    if *asked.home == region.id {
        return ask_here(region, asked).await.map(Ok);
    }
    let home = asked.home.to_string();
    match ask_peer(region, asked).await {
        Ok(part) => Ok(Ok(part)),
        Err(WireError::Refused(problem)) if problem.status != 503 => Err(WireError::Refused(problem).into()),
        Err(error) => {
            tracing::warn!(home, %error, "home did not answer");
            Ok(Err(RegionReason { region: home, reason: error.to_string() }))
        }
    }
}

async fn ask_here(region: &Region, asked: Asked<'_>) -> Result<Part, QueryError> {
    let started = Instant::now();
    let here = region.id.clone();
    let Asked { sql, purpose, partial_of, .. } = asked;
    let done = execute(region, &here, Question { sql, purpose, pins: &asked.pins, partial_of }).await?;
    Ok(Part {
        fragment: asked.fragment,
        home: here,
        batches: done.released.batches,
        suppressed: done.released.suppressed,
        as_of: done.as_of,
        elapsed_ms: started.elapsed().as_secs_f64() * 1e3,
        border_bytes: 0,
        receipt: None,
    })
}

async fn ask_peer(region: &Region, asked: Asked<'_>) -> Result<Part, WireError> {
    let peer = region.peers.iter().find(|peer| peer.id == *asked.home);
    let peer = peer.ok_or_else(|| WireError::UnknownPeer { region: asked.home.to_string() })?;
    let malformed = |detail: String| WireError::Malformed { url: peer.url.clone(), detail };
    let request = FragmentRequest {
        query_id: asked.query.to_string(),
        sql: asked.sql.to_owned(),
        purpose: asked.purpose.map(str::to_owned),
        plugins: asked.pins,
        partial_of: asked.partial_of.map(str::to_owned),
        timeout_ms: u64::try_from(asked.timeout.as_millis()).unwrap_or(u64::MAX),
    };
    let body = serde_json::to_vec(&request).map_err(|e| malformed(e.to_string()))?;
    let answer = region.client.send(peer, Method::POST, FRAGMENT_PATH, Bytes::from(body), asked.timeout).await?;
    let facts = answer.headers.get(header::RECEIPT).map(|value| value.as_bytes()).unwrap_or_default();
    let facts = ReplyFacts::from_header(facts).ok_or_else(|| malformed("the receipt cannot be read".to_owned()))?;
    check_receipt(&facts.receipt, asked.home, &region.id, asked.query, asked.sql, &answer.body)?;
    check_plugins(&facts.receipt, asked.home, &request)?;
    let (_, batches) = frame::decode(&answer.body)?;
    Ok(Part {
        fragment: asked.fragment,
        home: asked.home.clone(),
        batches,
        suppressed: facts.receipt.receipt.groups_suppressed,
        as_of: facts.as_of,
        elapsed_ms: facts.elapsed_ms,
        border_bytes: answer.body.len() as u64,
        receipt: Some(facts.receipt),
    })
}

/// Nothing is used that did not come with a receipt for exactly these bytes, this question and this border.
fn check_receipt(
    signed: &SignedReceipt,
    from: &RegionId,
    to: &RegionId,
    query: &QueryId,
    sql: &str,
    body: &[u8],
) -> Result<(), WireError> {
    let invalid = |detail: &str| WireError::Receipt { region: from.clone(), detail: detail.to_owned() };
    signed.verify().map_err(|e| invalid(&e.to_string()))?;
    let receipt = &signed.receipt;
    let checks = [
        (receipt.from == from.as_str(), "it names another source"),
        (receipt.to == to.as_str(), "it names another destination"),
        (receipt.query_id == query.as_str(), "it is for another query"),
        (receipt.question_sha256 == sha256(sql.as_bytes()).to_string(), "it is for another question"),
        (receipt.bytes == body.len() as u64, "it covers another number of bytes"),
        (receipt.body_sha256 == sha256(body).to_string(), "it covers other bytes"),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, detail)| Err(invalid(detail)))
}

/// Nor what code made that was not asked for, or not as it was asked for.
fn check_plugins(signed: &SignedReceipt, from: &RegionId, request: &FragmentRequest) -> Result<(), WireError> {
    let invalid = |detail: String| Err(WireError::Receipt { region: from.clone(), detail });
    let made_by = &signed.receipt.plugins;
    let pinned: Vec<PluginRecord> = request.plugins.iter().map(record).collect();
    if let Some(other) = made_by.iter().find(|record| !pinned.contains(record)) {
        return invalid(format!("it names plugin `{}` with other code or parameters than asked for", other.name));
    }
    let named = |name: &String| made_by.iter().any(|record| record.name == *name);
    if request.partial_of.as_ref().is_none_or(named) {
        Ok(())
    } else {
        invalid("it does not name the plugin".to_owned())
    }
}

/// A fragment's answer as it crosses the border.
#[derive(Debug)]
pub struct FragmentReply {
    /// Receipt and other facts, for the `Receipt` header.
    pub facts: ReplyFacts,
    /// The frames.
    pub body: Vec<u8>,
}

/// Answers `caller`, another region: admits the fragment under this region's own policies, executes it, holds back
/// what is too small, and writes the receipt before a byte leaves.
///
/// # Errors
/// Where the policies refuse, or the fragment fails.
pub async fn answer(region: &Region, caller: &RegionId, request: FragmentRequest) -> Result<FragmentReply, QueryError> {
    let timeout = Duration::from_millis(request.timeout_ms).min(domicile_types::limits::QUERY_TIMEOUT_MAX);
    let span = tracing::info_span!("fragment", query_id = request.query_id, from = %region.id, to = %caller);
    let reply = async {
        let calls_plugins = !request.plugins.is_empty();
        let _plugin_slot = if calls_plugins { Some(region.plugin_fragment_slots.acquire().await) } else { None };
        let _slot = region.fragment_slots.acquire().await;
        let started = Instant::now();
        let question = Question {
            sql: &request.sql,
            purpose: request.purpose.as_deref(),
            pins: &request.plugins,
            partial_of: request.partial_of.as_deref(),
        };
        let done = execute(region, caller, question).await?;
        let body = frame::encode(&done.released.schema, &done.released.batches)?;
        let draft = draft(region, caller, &request, &done, &body);
        let question = request.sql;
        let receipt = region.ledger.run(move |ledger| ledger.record(draft, question)).await??;
        let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
        tracing::info!(
            bytes = body.len(),
            groups = done.released.rows,
            suppressed = done.released.suppressed,
            "released"
        );
        Ok(FragmentReply { facts: ReplyFacts { receipt, as_of: done.as_of, elapsed_ms }, body })
    };
    let fit = |error| fit_to_cross(error, &region.id);
    let reply = async { reply.await.map_err(fit) }.instrument(span);
    tokio::time::timeout(timeout, reply).await.map_err(|_| QueryError::TimedOut { timeout_ms: timeout.as_millis() })?
}

/// The error without anything that could hold values of rows: messages cross the border too.
fn fit_to_cross(error: QueryError, here: &RegionId) -> QueryError {
    match error {
        QueryError::Plugin(error) => {
            tracing::warn!(%error, "a plugin failed in a fragment");
            QueryError::Plugin(error.without_guest_text())
        }
        QueryError::Execution(detail) | QueryError::Data(detail) => {
            tracing::warn!(detail, "a fragment failed");
            QueryError::Execution(format!("region `{here}` could not compute its part; its log says why"))
        }
        error @ (QueryError::Store(_) | QueryError::Read(_)) => {
            tracing::error!(%error, "a fragment could not read its rows");
            QueryError::Execution(format!("region `{here}` could not read its rows; its log says why"))
        }
        other => other,
    }
}

/// A question answered.
pub(crate) struct Done {
    pub(crate) released: Released,
    pub(crate) admitted: AdmittedFragment,
    /// Distinct entities that each released group has at least; 0 where no group was held back.
    pub(crate) minimum_entities: u64,
    pub(crate) as_of: u64,
}

async fn execute(region: &Region, to: &RegionId, question: Question<'_>) -> Result<Done, QueryError> {
    if let Some(name) = question.partial_of {
        return contribute(region, to, &question, name).await;
    }
    let ready = Ready::new(region, to, question).await?;
    let released =
        leaf::execute(&ready.admitted, &ready.names, &ready.binder(region), &ready.session, &region.compute).await?;
    let minimum_entities = ready.admitted.verdict.as_ref().map_or(0, |verdict| verdict.minimum_entities);
    Ok(Done { released, as_of: ready.snapshot.version, admitted: ready.admitted, minimum_entities })
}

/// How this region would compute a fragment for itself.
///
/// # Errors
/// Where the fragment is not valid, or a table cannot be opened.
pub(crate) async fn explain_here(region: &Region, sql: &str, pins: &[PluginPin]) -> Result<String, QueryError> {
    let question = Question { sql, purpose: None, pins, partial_of: None };
    let ready = Ready::new(region, &region.id, question).await?;
    let plan = leaf::plan(&ready.admitted, &ready.names, &ready.binder(region))?;
    region.compute.explain(&ready.session, plan).await
}

/// A fragment, admitted, and all that it takes to execute it.
struct Ready {
    admitted: AdmittedFragment,
    names: Vec<(usize, String)>,
    session: SessionContext,
    plugins: PluginSet,
    snapshot: Arc<Snapshot>,
}

impl Ready {
    async fn new(region: &Region, to: &RegionId, question: Question<'_>) -> Result<Self, QueryError> {
        let plugins = question.plugins(region)?;
        let session = region.catalog.fragment_session(&plugins, &region.runtime)?;
        let plan = parse(&session, question.sql).await?;
        let (fragment, names) = Fragment::recognize(&plan, &region.catalog)?;
        let admitted = admit_fragment(fragment, &region.catalog, &region.id, to, question.purpose, region.today())?;
        Ok(Self { admitted, names, session, plugins, snapshot: region.reader.snapshot() })
    }

    fn binder<'r>(&'r self, region: &'r Region) -> Binder<'r> {
        Binder::new(
            &self.admitted.admission,
            &region.catalog,
            &region.reader,
            &self.snapshot,
            &self.plugins,
            &self.session,
            BTreeMap::new(),
        )
        .of(&self.admitted)
    }
}

fn draft(region: &Region, to: &RegionId, request: &FragmentRequest, done: &Done, body: &[u8]) -> Receipt {
    let facts = &done.admitted.fragment.facts;
    let columns = facts.outputs.iter().chain(&facts.group_by).chain(&facts.measures).chain(&facts.filters);
    let mut columns: Vec<String> = columns.map(ToString::to_string).collect();
    columns.sort();
    columns.dedup();
    let clauses = done.admitted.verdict.iter().flat_map(|verdict| &verdict.clauses);
    let clauses = clauses.map(|clause| ClauseRecord {
        dataset: clause.dataset.to_string(),
        clause: clause.clause.clone(),
        policy_version: u64::from(clause.policy_version),
        policy_sha256: clause.policy_digest.to_string(),
        legal_basis: clause.legal_basis.clone(),
    });
    Receipt {
        sequence: 0,
        previous: String::new(),
        at_unix_ms: now_unix_ms(),
        query_id: request.query_id.clone(),
        from: region.id.to_string(),
        to: to.to_string(),
        form: facts.form.to_string(),
        datasets: facts.datasets.iter().map(ToString::to_string).collect(),
        columns,
        clauses: clauses.collect(),
        purpose: request.purpose.clone(),
        plugins: made_by(&request.plugins, facts),
        minimum_entities: done.minimum_entities,
        rows_released: done.released.rows,
        groups_suppressed: done.released.suppressed,
        bytes: body.len() as u64,
        body_sha256: sha256(body).to_string(),
        question_sha256: String::new(),
    }
}

/// The plugins whose own bytes are in what crossed.
fn made_by(pins: &[PluginPin], facts: &FragmentFacts) -> Vec<PluginRecord> {
    let approved = |pin: &&PluginPin| facts.plugins.iter().any(|digest| digest.to_string() == pin.sha256);
    pins.iter().filter(approved).map(record).collect()
}

fn record(pin: &PluginPin) -> PluginRecord {
    PluginRecord { name: pin.name.clone(), sha256: pin.sha256.clone(), parameters: pin.parameters.clone() }
}
