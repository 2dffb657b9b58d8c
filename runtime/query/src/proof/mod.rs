//! `EXPLAIN RESIDENCY`: what a question would take across which border, and by what right, before it does.
//!
//! Each crossing is judged here as the question would be. Where this region admits it, the owning region is asked for
//! its own verdict, since it has the last word; nothing is executed there either.

mod owner;
mod rows;

use std::time::Duration;

use datafusion::logical_expr::LogicalPlan;
use domicile_types::RegionId;
use domicile_wire::explain::{Crossing, JudgedBy, Prediction, ResidencyExplanation};
use domicile_wire::{Problem, WireError};

use crate::QueryError;
use crate::admit::{JudgedFragment, judged};
use crate::client::Destination;
use crate::opaque::opaque;
use crate::parse::Question;
use crate::region::Region;
use crate::remote::Asked;
use crate::run::{Answer, Query, QueryRequest};

pub use owner::explain_fragment;
use owner::{ask_owner, terms};

/// What a question would take across borders.
#[derive(Debug)]
pub struct Proof {
    document: ResidencyExplanation,
    /// What the crossings of these numbers would be refused with, in the order in which the question would meet them.
    refused: Vec<(usize, QueryError)>,
}

impl Proof {
    /// The document, with problem documents as `problem` makes them.
    pub fn document(self, problem: impl Fn(QueryError) -> Problem) -> ResidencyExplanation {
        let mut document = self.document;
        for (index, error) in self.refused {
            let refusal = problem(error);
            document.denied.get_or_insert_with(|| refusal.clone());
            if let Some(crossing) = document.crossings.get_mut(index) {
                crossing.denied = Some(refusal);
            }
        }
        document
    }
}

/// What the question would take across borders.
///
/// # Errors
/// Where the question is not valid or cannot be answered across regions, as it would fail itself. A denial is no error.
pub async fn explain_residency(region: &Region, request: QueryRequest) -> Result<Proof, QueryError> {
    let (timeout, elsewhere) = (request.timeout, !request.client.stands_at(&region.id));
    let proof = async {
        let _slot = region.query_slots.acquire().await;
        let query = Query::new(region, request.clone(), region.plugins().picked_for(&request.id))?;
        match query.question().await? {
            Question::Rows(plan) => query.prove(plan).await,
            Question::Explain(_) | Question::Residency(_) => Err(explained_already()),
        }
    };
    let proof = async { proof.await.map_err(|error| if elsewhere { opaque(error, &region.id) } else { error }) };
    tokio::time::timeout(timeout, proof).await.map_err(|_| QueryError::TimedOut { timeout_ms: timeout.as_millis() })?
}

/// The plans of the question, as `EXPLAIN` answers them.
///
/// # Errors
/// As for the question itself.
pub async fn explain_plan(region: &Region, request: QueryRequest) -> Result<Answer, QueryError> {
    let (timeout, elsewhere) = (request.timeout, !request.client.stands_at(&region.id));
    let answer = async {
        let _slot = region.query_slots.acquire().await;
        let query = Query::new(region, request.clone(), region.plugins().picked_for(&request.id))?;
        match query.question().await? {
            Question::Rows(plan) => {
                let admitted = query.admit(plan).await?;
                query.explain(admitted).await
            }
            Question::Explain(_) | Question::Residency(_) => Err(explained_already()),
        }
    };
    let answer = async { answer.await.map_err(|error| if elsewhere { opaque(error, &region.id) } else { error }) };
    tokio::time::timeout(timeout, answer).await.map_err(|_| QueryError::TimedOut { timeout_ms: timeout.as_millis() })?
}

fn explained_already() -> QueryError {
    QueryError::sql("send the question without EXPLAIN: it is explained as `mode` says", None)
}

impl Query<'_> {
    /// What of `plan` would cross.
    ///
    /// # Errors
    /// Where the plan cannot be answered across regions.
    pub(crate) async fn prove(&self, plan: LogicalPlan) -> Result<Proof, QueryError> {
        let fragments = judged(plan, &self.catalog, self.asking())?;
        let nothing = self.nothing_crosses(&fragments);
        let timeout = self.for_homes();
        let mut denied = Vec::new();
        let mut asked = Vec::new();
        for (number, fragment) in (1..).zip(fragments) {
            for (home, verdict) in fragment.crossings {
                let crossing = self.crossing(number, &home, &fragment.text.sql)?;
                let fragment = &fragment.text;
                match verdict {
                    Ok(verdict) => {
                        let terms = terms(&fragment.fragment.facts, &verdict, None, Prediction::Unknown);
                        let pins = self.plugins.pins(&fragment.fragment.facts.functions);
                        asked.push((Crossing { terms: Some(terms), ..crossing }, home, pins));
                    }
                    Err(QueryError::Denied(denial)) => {
                        let denial = self.rewriter().offered(&self.request.sql, denial).await;
                        denied.push((Crossing { admitted: false, ..crossing }, QueryError::Denied(denial)));
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        let asked = asked.into_iter().map(|(crossing, home, pins)| self.owned(crossing, home, pins, timeout));
        let owned = futures::future::join_all(asked).await;
        Ok(self.proof(nothing, denied, owned))
    }

    /// The crossing with what its owner says.
    async fn owned(
        &self,
        crossing: Crossing,
        home: RegionId,
        pins: Vec<domicile_wire::api::PluginPin>,
        timeout: Duration,
    ) -> (Crossing, Option<QueryError>) {
        let asked = Asked {
            catalog: &self.catalog,
            fragment: crossing.fragment,
            home: &home,
            at: &home,
            staleness_max_ms: None,
            sql: &crossing.sql,
            pins,
            partial_of: None,
            query: &self.request.id,
            purpose: self.request.purpose.as_deref(),
            client: &self.request.client,
            timeout,
        };
        if home == *self.region.id() {
            // What goes to a client elsewhere is this region's to judge.
            return match explain_fragment(self.region, &home, asked.to_explain()).await {
                Ok(terms) => (Crossing { judged_by: JudgedBy::Owner, terms: Some(terms), ..crossing }, None),
                Err(error) => (Crossing { admitted: false, terms: None, ..crossing }, Some(error)),
            };
        }
        match ask_owner(self.region, asked).await {
            Ok(terms) => (Crossing { judged_by: JudgedBy::Owner, terms: Some(terms), ..crossing }, None),
            Err(WireError::Refused(problem)) if problem.status != 503 => {
                let problem = self.rewriter().relayed(*problem).await;
                let refused = Crossing { judged_by: JudgedBy::Owner, admitted: false, terms: None, ..crossing };
                (refused, Some(WireError::Refused(Box::new(problem)).into()))
            }
            Err(error) => (Crossing { unreachable: Some(error.to_string()), ..crossing }, None),
        }
    }

    fn crossing(&self, fragment: usize, home: &RegionId, sql: &str) -> Result<Crossing, QueryError> {
        let to = Destination::of(home, self.region.id(), &self.request.client)?;
        Ok(Crossing {
            fragment,
            from: home.to_string(),
            to: to.label(home),
            admitted: true,
            judged_by: JudgedBy::Asker,
            unreachable: None,
            terms: None,
            sql: sql.to_owned(),
            denied: None,
        })
    }

    fn nothing_crosses(&self, fragments: &[JudgedFragment]) -> Option<String> {
        let here = self.region.id();
        if fragments.iter().any(|fragment| !fragment.crossings.is_empty()) {
            return None;
        }
        Some(if fragments.is_empty() {
            format!("all that is read is in {here}")
        } else {
            format!("no other region than {here} is the home of rows that could be in the answer")
        })
    }

    fn proof(
        &self,
        nothing_crosses: Option<String>,
        denied: Vec<(Crossing, QueryError)>,
        owned: Vec<(Crossing, Option<QueryError>)>,
    ) -> Proof {
        let (mut crossings, mut refused) = (Vec::new(), Vec::new());
        // The question would meet its own region's denials first.
        let denied = denied.into_iter().map(|(crossing, error)| (crossing, Some(error)));
        for (index, (crossing, error)) in denied.chain(owned).enumerate() {
            crossings.push(crossing);
            refused.extend(error.map(|error| (index, error)));
        }
        let bytes = |crossing: &Crossing| crossing.terms.as_ref().and_then(|terms| terms.predicted_bytes);
        let document = ResidencyExplanation {
            query_id: self.request.id.to_string(),
            edge: self.region.id().to_string(),
            purpose: self.request.purpose.clone(),
            admitted: refused.is_empty(),
            nothing_crosses,
            predicted_bytes: crossings.iter().map(bytes).try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?))),
            crossings,
            denied: None,
        };
        Proof { document, refused }
    }
}
