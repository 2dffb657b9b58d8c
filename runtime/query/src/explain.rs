//! What `EXPLAIN` answers: the plans that this region would run, as rows of text.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::prelude::SessionContext;
use domicile_types::RegionId;

use crate::QueryError;
use crate::admit::AdmittedPlan;
use crate::catalog::{Catalog, session_state};
use crate::client::Client;
use crate::plugins::PluginSet;
use crate::region::Region;
use crate::remote::explain_here;
use crate::run::{Answer, Query};
use crate::split::FragmentText;

impl Query<'_> {
    /// How the question would be answered, as far as this region does it. No other region is asked.
    ///
    /// # Errors
    /// Where a plan cannot be made.
    pub(crate) async fn explain(self, admitted: AdmittedPlan) -> Result<Answer, QueryError> {
        let parts = self.no_parts_of(admitted.fragments.len(), true);
        let client = &self.request.client;
        let mut explanation = fragments(self.region, &self.catalog, client, &admitted.fragments, &self.plugins).await?;
        // Plans tell how much of what is read here.
        if client.stands_at(self.region.id()) {
            let what = if admitted.fragments.is_empty() { "plan" } else { "merge" };
            let session = SessionContext::new_with_state(session_state(&self.region.runtime)?);
            let plan = self.bind(admitted, &parts, &session)?;
            explanation.push((what.to_owned(), self.region.compute.explain(&session, plan).await?));
        }
        Ok(self.explained(rows(explanation)?))
    }

    /// An answer of rows that this region says of the question, and none of its own.
    pub(crate) fn explained(&self, rows: RecordBatch) -> Answer {
        self.answer(rows.schema(), vec![rows], self.no_parts_of(0, true))
    }
}

/// Each fragment with the homes that it would be asked of and, where this region is one of them and whoever asks stands
/// here, its plan here.
///
/// # Errors
/// Where a plan cannot be made.
async fn fragments(
    region: &Region,
    catalog: &Arc<Catalog>,
    client: &Client,
    fragments: &[(FragmentText, BTreeSet<RegionId>)],
    plugins: &PluginSet,
) -> Result<Vec<(String, String)>, QueryError> {
    let mut explanation = Vec::with_capacity(fragments.len() * 2 + 1);
    for (number, (text, homes)) in (1..).zip(fragments) {
        let asked: Vec<&str> = homes.iter().map(RegionId::as_str).collect();
        let asked = if asked.is_empty() { "no region".to_owned() } else { asked.join(", ") };
        explanation.push((format!("fragment {number}"), format!("asked of {asked}: {}", text.sql)));
        if homes.contains(region.id()) && client.stands_at(region.id()) {
            let pins = plugins.pins(&text.fragment.facts.functions);
            let plan = explain_here(region, catalog, client, &text.sql, &pins).await?;
            explanation.push((format!("fragment {number} in {}", region.id()), plan));
        }
    }
    Ok(explanation)
}

/// The explanation as rows of the columns `plan_type` and `plan`.
///
/// # Errors
/// Never; the columns are of one length.
fn rows(explanation: Vec<(String, String)>) -> Result<RecordBatch, QueryError> {
    let (kinds, plans): (Vec<_>, Vec<_>) = explanation.into_iter().unzip();
    let column = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
    RecordBatch::try_from_iter([("plan_type", column(kinds)), ("plan", column(plans))])
        .map_err(|error| QueryError::Execution(error.to_string()))
}
