//! Asking one home for one fragment, or whoever stands in for it; this region's own part takes the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::prelude::SessionContext;
use domicile_store::Snapshot;
use domicile_types::{QueryId, RegionId};
use domicile_wire::api::{FragmentFacts as ReplyFacts, PluginPin, RegionReason, header};
use domicile_wire::receipt::{SignedReceipt, sha256};
use domicile_wire::{WireError, frame};
use http::Method;

use crate::QueryError;
use crate::admit::{AdmittedFragment, Asking, admit_fragment};
use crate::bind::Binder;
use crate::catalog::Catalog;
use crate::client::{Client, Destination};
use crate::copies::{CopyError, CopyView, check_answerable};
use crate::crossing::{Crossing, seal};
use crate::fragment::Fragment;
use crate::leaf::{self, Recipient, Released};
use crate::parse::parse;
use crate::plugins::PluginSet;
use crate::query_plugin::contribute;
use crate::reference::without_rows;
use crate::region::Region;

/// Path of the endpoint that regions ask each other at.
pub const FRAGMENT_PATH: &str = "/v1/peer/fragments";

/// A fragment and where it is asked.
#[derive(Clone)]
pub(crate) struct Asked<'q> {
    pub(crate) fragment: usize,
    pub(crate) home: &'q RegionId,
    /// The home, or a region that stands in for it.
    pub(crate) at: &'q RegionId,
    /// How old the rows may be that one has who stands in.
    pub(crate) staleness_max_ms: Option<u64>,
    pub(crate) catalog: &'q Arc<Catalog>,
    pub(crate) sql: &'q str,
    pub(crate) pins: Vec<PluginPin>,
    /// The query plugin whose contribution is asked for instead of the rows of the fragment.
    pub(crate) partial_of: Option<&'q str>,
    pub(crate) query: &'q QueryId,
    pub(crate) purpose: Option<&'q str>,
    pub(crate) client: &'q Client,
    pub(crate) timeout: Duration,
}

impl Asked<'_> {
    fn question(&self) -> Question<'_> {
        let Self { home, staleness_max_ms, catalog, sql, purpose, partial_of, .. } = *self;
        Question { home, staleness_max_ms, catalog, sql, purpose, pins: &self.pins, partial_of }
    }
}

/// What a region is asked, by itself or by another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'q> {
    /// Where the rows live that it is about.
    pub(crate) home: &'q RegionId,
    /// How old they may be where that is another region.
    pub(crate) staleness_max_ms: Option<u64>,
    /// It is admitted and executed under these policies.
    pub(crate) catalog: &'q Arc<Catalog>,
    pub(crate) sql: &'q str,
    pub(crate) purpose: Option<&'q str>,
    pub(crate) pins: &'q [PluginPin],
    pub(crate) partial_of: Option<&'q str>,
}

impl Question<'_> {
    /// To whom its answer is released.
    pub(crate) fn recipient(&self, tenant: &str) -> Recipient {
        let plugins: Vec<String> = self.pins.iter().map(|pin| format!("{pin:?}")).collect();
        let question = format!("{}\n{:?}\n{}", self.sql, self.partial_of, plugins.join("\n"));
        Recipient { tenant: tenant.to_owned(), question: sha256(question.as_bytes()).to_string() }
    }

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
    /// Who stood in for the home, and the moment in Unix milliseconds that its copy was of.
    pub(crate) stand_in: Option<(RegionId, u64)>,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) suppressed: u64,
    /// The epsilon of its numbers' noise, in millionths; 0 where they have none.
    pub(crate) epsilon_millionths: u64,
    pub(crate) as_of: u64,
    pub(crate) elapsed_ms: f64,
    pub(crate) border_bytes: u64,
    pub(crate) receipt: Option<SignedReceipt>,
    /// Reference datasets that it was computed without, because the home holds no rows of them.
    pub(crate) without_rows: Vec<String>,
}

impl Part {
    /// The home, or who stood in for it.
    pub(crate) fn answered_by(&self) -> &RegionId {
        self.stand_in.as_ref().map_or(&self.home, |(region, _)| region)
    }
}

/// Asks the home. The inner error is a home that did not answer, which a caller may accept; the outer is not.
///
/// # Errors
/// Where the home refuses the fragment, or this region fails while computing it.
pub(crate) async fn ask(region: &Region, asked: Asked<'_>) -> Result<Result<Part, RegionReason>, QueryError> {
    if *asked.at == region.id {
        return ask_here(region, asked).await.map(Ok);
    }
    let (home, asked_at) = (asked.home.to_string(), asked.at);
    match ask_peer(region, asked).await {
        Ok(part) => Ok(Ok(part)),
        Err(WireError::Refused(problem)) if problem.status != 503 => Err(WireError::Refused(problem).into()),
        Err(error) => {
            tracing::warn!(home, at = %asked_at, %error, "home did not answer");
            Ok(Err(RegionReason { region: home, reason: error.to_string() }))
        }
    }
}

/// This region's own part. Where the client stands elsewhere it crosses a border like one for a peer, receipt included.
async fn ask_here(region: &Region, asked: Asked<'_>) -> Result<Part, QueryError> {
    let started = Instant::now();
    let here = region.id.clone();
    let destination = Destination::of(asked.home, &here, asked.client)?;
    let mut done = execute(region, &destination, asked.question()).await?;
    let (mut border_bytes, mut receipt) = (0, None);
    if destination.crosses() {
        let sealed = seal(region, &destination, asked.query.as_str(), asked.question(), done).await?;
        (border_bytes, receipt, done) = (sealed.0.len() as u64, Some(sealed.1), sealed.2);
    }
    let epsilon_millionths = done.epsilon_millionths();
    Ok(Part {
        fragment: asked.fragment,
        home: asked.home.clone(),
        stand_in: done.copy_of_ms.map(|as_of_ms| (here, as_of_ms)),
        batches: done.released.batches,
        suppressed: done.released.suppressed,
        epsilon_millionths,
        as_of: done.as_of,
        elapsed_ms: started.elapsed().as_secs_f64() * 1e3,
        border_bytes,
        receipt,
        without_rows: done.without_rows,
    })
}

async fn ask_peer(region: &Region, asked: Asked<'_>) -> Result<Part, WireError> {
    let peer = region.peers.iter().find(|peer| peer.id == *asked.at);
    let peer = peer.ok_or_else(|| WireError::UnknownPeer { region: asked.at.to_string() })?;
    let malformed = |detail: String| WireError::Malformed { url: peer.url.clone(), detail };
    let request = asked.to_request();
    let body = serde_json::to_vec(&request).map_err(|e| malformed(e.to_string()))?;
    let answer = region.client.send(peer, Method::POST, FRAGMENT_PATH, Bytes::from(body), asked.timeout).await?;
    let facts = answer.headers.get(header::RECEIPT).map(|value| value.as_bytes()).unwrap_or_default();
    let facts = ReplyFacts::from_header(facts).ok_or_else(|| malformed("the receipt cannot be read".to_owned()))?;
    let crossing = Crossing {
        from: asked.at,
        home: asked.home,
        to: &region.id,
        client: asked.client.record(),
        query: asked.query,
        question: asked.question(),
    };
    crossing.check(&facts.receipt, &answer.body)?;
    region.heads.note(&facts.receipt);
    let stand_in = (asked.at != asked.home).then(|| Some((asked.at.clone(), facts.as_of_unix_ms?)));
    let stand_in = stand_in.map(|it| it.ok_or_else(|| malformed("how old the rows are is missing".to_owned())));
    let stand_in = stand_in.transpose()?;
    let (_, batches) = frame::decode(&answer.body)?;
    Ok(Part {
        fragment: asked.fragment,
        home: asked.home.clone(),
        stand_in,
        batches,
        suppressed: facts.receipt.receipt.groups_suppressed,
        epsilon_millionths: facts.epsilon_millionths,
        as_of: facts.as_of,
        elapsed_ms: facts.elapsed_ms,
        border_bytes: answer.body.len() as u64,
        receipt: Some(facts.receipt),
        without_rows: facts.without_rows,
    })
}

/// A question answered.
pub(crate) struct Done {
    pub(crate) released: Released,
    pub(crate) admitted: AdmittedFragment,
    /// Distinct entities that each released group has at least; 0 where no group was held back.
    pub(crate) minimum_entities: u64,
    pub(crate) as_of: u64,
    /// The moment that the rows are of, where they are a copy.
    pub(crate) copy_of_ms: Option<u64>,
    /// As [`Part::without_rows`].
    pub(crate) without_rows: Vec<String>,
}

impl Done {
    pub(crate) fn epsilon_millionths(&self) -> u64 {
        let noise = self.admitted.verdict.as_ref().and_then(|verdict| verdict.differential_privacy);
        noise.map_or(0, |noise| noise.epsilon_millionths)
    }
}

/// # Errors
/// Where the question is not valid, the policies refuse, or it fails.
pub(crate) async fn execute(region: &Region, to: &Destination, question: Question<'_>) -> Result<Done, QueryError> {
    if let Some(name) = question.partial_of {
        if *question.home != region.id {
            let what = "what a query plugin makes of rows is made at the home";
            return Err(CopyError::NeedsHome { what, home: question.home.clone() }.into());
        }
        return contribute(region, to, &question, name).await;
    }
    let ready = Ready::new(region, to, question).await?;
    let recipient = question.recipient(to.tenant());
    let recipient = recipient.of_state(ready.admitted.verdict.as_ref(), ready.version());
    let binder = ready.binder(region)?;
    let released = leaf::execute(region, &ready.admitted, &ready.names, &binder, &ready.session, &recipient).await?;
    let minimum_entities = ready.admitted.verdict.as_ref().map_or(0, |verdict| verdict.minimum_entities);
    let without_rows = without_rows(&ready.admitted.fragment, &region.reader, &ready.snapshot)?;
    let (copy_of_ms, as_of) = (ready.copy.as_ref().map(|copy| copy.as_of_ms), ready.version());
    Ok(Done { released, as_of, copy_of_ms, admitted: ready.admitted, minimum_entities, without_rows })
}

/// How this region would compute a fragment for itself.
///
/// # Errors
/// Where the fragment is not valid, or a table cannot be opened.
pub(crate) async fn explain_here(
    region: &Region,
    catalog: &Arc<Catalog>,
    client: &Client,
    sql: &str,
    pins: &[PluginPin],
) -> Result<String, QueryError> {
    let home = &region.id;
    let question = Question { home, staleness_max_ms: None, catalog, sql, purpose: None, pins, partial_of: None };
    let ready = Ready::new(region, &Destination::within(&region.id, client), question).await?;
    let plan = leaf::plan(&ready.admitted, &ready.names, &ready.binder(region)?, region.mark_key, &region.id)?;
    region.compute.explain(&ready.session, plan).await
}

/// A fragment, admitted, and all that it takes to execute it.
pub(crate) struct Ready {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) admitted: AdmittedFragment,
    names: Vec<(usize, String)>,
    session: SessionContext,
    plugins: PluginSet,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The rows of the home, where this region stands in for it.
    copy: Option<CopyView>,
}

impl Ready {
    /// # Errors
    /// Where the question is not a fragment, or may not be answered to `to`.
    pub(crate) async fn new(region: &Region, to: &Destination, question: Question<'_>) -> Result<Self, QueryError> {
        let plugins = question.plugins(region)?;
        let catalog = question.catalog;
        let session = catalog.fragment_session(&plugins, &region.runtime)?;
        let plan = parse(&session, question.sql).await?;
        let (fragment, names) = Fragment::recognize(&plan, catalog)?;
        let admitted = admit_fragment(fragment, catalog, question.home, to, question.purpose, region.today());
        let admitted = match admitted {
            Err(QueryError::Denied(denial)) => {
                let (purpose, today) = (question.purpose, region.today());
                let asking = Asking { here: &to.edge, client: &to.client, scope: None, purpose, today };
                let rewriter = region.rewriter(catalog, &plugins, asking);
                return Err(QueryError::Denied(rewriter.checked(denial).await));
            }
            done => done?,
        };
        let (verdict, datasets) = (admitted.verdict.as_ref(), &admitted.fragment.facts.datasets);
        let copy = region.view(question.home, datasets, question.staleness_max_ms, catalog)?;
        if copy.is_some() {
            check_answerable(verdict, question.home)?;
        }
        let snapshot = region.snapshot_for(verdict);
        Ok(Self { catalog: Arc::clone(catalog), admitted, names, session, plugins, snapshot, copy })
    }

    /// The version of the rows.
    fn version(&self) -> u64 {
        self.copy.as_ref().map_or(self.snapshot.version, |copy| copy.snapshot.version)
    }

    fn binder<'r>(&'r self, region: &'r Region) -> Result<Binder<'r>, QueryError> {
        Binder::new(
            &self.admitted.admission,
            &self.catalog,
            &region.reader,
            &self.snapshot,
            &self.plugins,
            &self.session,
            BTreeMap::new(),
        )
        .over(self.copy.as_ref())
        .of(&self.admitted, region.secret())
    }
}
