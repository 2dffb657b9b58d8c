//! Rewrites of denied questions. None is offered that has not been planned, split and admitted like a question.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Query as SqlQuery;
use domicile_policy::{Change, Denial, DenialReason, Rewrite};
use domicile_types::RegionId;
use domicile_types::limits::{REWRITES_MAX, REWRITES_TRIED_MAX};
use domicile_wire::Problem;
use domicile_wire::explain::RewriteOffer;

use crate::QueryError;
use crate::admit::{Asking, admit};
use crate::catalog::Catalog;
use crate::narrow::{narrowed, with_conditions};
use crate::parse::{parse, query_of};
use crate::plugins::PluginSet;

/// The fact of a problem document that lists rewrites.
const REWRITES: &str = "rewrites";
/// The fact that has the first of them that is asked in the same way.
const REWRITE: &str = "rewrite";

/// A rewrite as problem documents list it.
pub fn offer(rewrite: &Rewrite) -> RewriteOffer {
    let (edge, purpose) = match &rewrite.change {
        Change::AskAt(edge) => (Some(edge.to_string()), None),
        Change::Purpose(purpose) => (None, Some(purpose.clone())),
        _ => (None, None),
    };
    RewriteOffer {
        change: rewrite.change.name().to_owned(),
        advice: rewrite.change.to_string(),
        sql: rewrite.sql.clone(),
        edge,
        purpose,
    }
}

/// The same problem with these rewrites.
pub fn with_rewrites(problem: Problem, rewrites: Vec<RewriteOffer>) -> Problem {
    let same_way = rewrites.iter().find(|offer| offer.edge.is_none() && offer.purpose.is_none());
    let first = same_way.map(|offer| offer.sql.clone());
    let listed: Vec<serde_json::Value> = rewrites.iter().filter_map(|offer| serde_json::to_value(offer).ok()).collect();
    problem.with(REWRITE, first).with(REWRITES, listed)
}

/// Finds rewrites for those who ask as `asking` says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rewriter<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) runtime: &'a Arc<RuntimeEnv>,
    pub(crate) plugins: &'a PluginSet,
    pub(crate) asking: Asking<'a>,
    /// Regions whose edges could be asked instead.
    pub(crate) edges: &'a BTreeSet<RegionId>,
}

impl Rewriter<'_> {
    /// The denial of `sql` with rewrites of it, the nearest first.
    pub(crate) async fn offered(self, sql: &str, denial: Box<Denial>) -> Box<Denial> {
        let Ok(session) = self.session() else { return without(denial) };
        let Ok(query) = query_of(&session, sql) else { return self.checked(denial).await };
        let mut rewrites: Vec<Rewrite> = self.narrower(&session, &query, &denial).await.into_iter().collect();
        for draft in &denial.rewrites {
            if rewrites.len() < REWRITES_MAX - 1
                && let Some(rewrite) = self.of_the_same_rows(&session, &query, draft).await
            {
                rewrites.push(rewrite);
            }
        }
        let same = query.to_string();
        let elsewhere = self.first(&session, &same, self.elsewhere(&denial)).await;
        let purpose = self.first(&session, &same, self.purposes(&denial)).await;
        let (first, last) = if matches!(denial.reason, DenialReason::Purpose { .. }) {
            (purpose, elsewhere)
        } else {
            (elsewhere, purpose)
        };
        rewrites.extend(first);
        rewrites.extend(last);
        if matches!(denial.reason, DenialReason::Purpose { .. }) {
            rewrites.sort_by_key(|rewrite| !matches!(rewrite.change, Change::Purpose(_)));
        }
        rewrites.truncate(REWRITES_MAX);
        Box::new(Denial { rewrites, ..*denial })
    }

    /// The denial with those of its own rewrites that are admitted.
    pub(crate) async fn checked(self, denial: Box<Denial>) -> Box<Denial> {
        let Ok(session) = self.session() else { return without(denial) };
        let mut rewrites = Vec::new();
        for draft in denial.rewrites.iter().cloned() {
            if self.admits(&session, &draft).await.is_ok() {
                rewrites.push(draft);
            }
        }
        Box::new(Denial { rewrites, ..*denial })
    }

    /// Another region's refusal with those of its rewrites that this region admits as well.
    pub(crate) async fn relayed(self, mut problem: Problem) -> Problem {
        let offers = problem.facts.remove(REWRITES);
        problem.facts.remove(REWRITE);
        let offers: Vec<RewriteOffer> = offers.and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default();
        let Ok(session) = self.session() else { return problem };
        let mut admitted = Vec::new();
        for offer in offers.into_iter().take(REWRITES_MAX) {
            let read = read(&offer);
            if let Some(rewrite) = read
                && self.admits(&session, &rewrite).await.is_ok()
            {
                admitted.push(offer);
            }
        }
        if admitted.is_empty() { problem } else { with_rewrites(problem, admitted) }
    }

    fn session(self) -> Result<SessionContext, QueryError> {
        self.catalog.planning_session(self.plugins, self.runtime)
    }

    async fn admits(self, session: &SessionContext, rewrite: &Rewrite) -> Result<(), QueryError> {
        let plan = parse(session, &rewrite.sql).await?;
        let there;
        let asking = match &rewrite.change {
            Change::AskAt(edge) => {
                there = self.asking.client.asking_at(edge);
                Asking { here: edge, client: &there, ..self.asking }
            }
            Change::Purpose(purpose) => {
                self.asking.client.check_purpose(Some(purpose))?;
                Asking { purpose: Some(purpose), ..self.asking }
            }
            _ => self.asking,
        };
        admit(plan, self.catalog, asking).map(drop)
    }

    /// A draft, over the rows that the question is about where it is admitted so, or else over all.
    async fn of_the_same_rows(self, session: &SessionContext, query: &SqlQuery, draft: &Rewrite) -> Option<Rewrite> {
        let conditions = query_of(session, &draft.sql).ok().and_then(|drafted| with_conditions(&drafted, query));
        let narrow = conditions.map(|same| Rewrite { sql: same.to_string(), change: draft.change.clone() });
        for rewrite in narrow.into_iter().chain([draft.clone()]) {
            if self.admits(session, &rewrite).await.is_ok() {
                return Some(rewrite);
            }
        }
        None
    }

    /// The question without what is refused, again and again until the rest is admitted.
    async fn narrower(self, session: &SessionContext, query: &SqlQuery, denial: &Denial) -> Option<Rewrite> {
        let (mut query, mut coarser) = (query.clone(), false);
        let mut denial = denial.clone();
        for _ in 0..REWRITES_TRIED_MAX {
            let (less, change) = narrowed(&query, &denial)?;
            coarser |= change == Change::Coarser;
            let change = if coarser { Change::Coarser } else { change };
            let rewrite = Rewrite { sql: less.to_string(), change };
            match self.admits(session, &rewrite).await {
                Ok(()) => return Some(rewrite),
                Err(QueryError::Denied(next)) => (query, denial) = (less, *next),
                Err(_) => return None,
            }
        }
        None
    }

    async fn first(
        self,
        session: &SessionContext,
        sql: &str,
        changes: impl Iterator<Item = Change>,
    ) -> Option<Rewrite> {
        for change in changes.take(REWRITES_TRIED_MAX) {
            let rewrite = Rewrite { sql: sql.to_owned(), change };
            if self.admits(session, &rewrite).await.is_ok() {
                return Some(rewrite);
            }
        }
        None
    }

    /// The edges of other regions, first that of the region where what is refused lives.
    fn elsewhere(self, denial: &Denial) -> impl Iterator<Item = Change> {
        let others = self.edges.iter().filter(|edge| *edge != self.asking.here);
        let mut others: Vec<RegionId> = others.cloned().collect();
        others.sort_by_key(|edge| *edge != denial.from);
        others.into_iter().map(Change::AskAt)
    }

    /// The purposes that the policy concerned names, but for the one that was stated.
    fn purposes(self, denial: &Denial) -> impl Iterator<Item = Change> {
        let policy = self.catalog.policies().policy(&denial.dataset);
        let named = policy.iter().flat_map(|policy| &policy.allow).flat_map(|clause| clause.purposes.iter().cloned());
        let named: BTreeSet<String> = named.filter(|named| Some(named.as_str()) != self.asking.purpose).collect();
        named.into_iter().map(Change::Purpose)
    }
}

fn without(denial: Box<Denial>) -> Box<Denial> {
    Box::new(Denial { rewrites: Vec::new(), ..*denial })
}

/// An offer as it was made; none where it is of a kind that is not known here.
fn read(offer: &RewriteOffer) -> Option<Rewrite> {
    let change = match offer.change.as_str() {
        "coarser" => Change::Coarser,
        "aggregate" => Change::Aggregate,
        "without-filter" => Change::WithoutFilter,
        "ask-at" => Change::AskAt(offer.edge.as_deref()?.parse().ok()?),
        "purpose" => Change::Purpose(offer.purpose.clone()?),
        _ => return None,
    };
    Some(Rewrite { sql: offer.sql.clone(), change })
}
