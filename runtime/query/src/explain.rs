//! What `EXPLAIN` answers: the plans that this region would run, as rows of text.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use domicile_types::RegionId;

use crate::QueryError;
use crate::plugins::PluginSet;
use crate::region::Region;
use crate::remote::explain_here;
use crate::split::FragmentText;

/// Each fragment with the homes that it would be asked of and, where this region is one of them, its plan here.
///
/// # Errors
/// Where a plan cannot be made.
pub(crate) async fn fragments(
    region: &Region,
    fragments: &[(FragmentText, BTreeSet<RegionId>)],
    plugins: &PluginSet,
) -> Result<Vec<(String, String)>, QueryError> {
    let mut explanation = Vec::with_capacity(fragments.len() * 2 + 1);
    for (number, (text, homes)) in (1..).zip(fragments) {
        let asked: Vec<&str> = homes.iter().map(RegionId::as_str).collect();
        let asked = if asked.is_empty() { "no region".to_owned() } else { asked.join(", ") };
        explanation.push((format!("fragment {number}"), format!("asked of {asked}: {}", text.sql)));
        if homes.contains(region.id()) {
            let pins = plugins.pins(&text.fragment.facts.functions);
            let plan = explain_here(region, &text.sql, &pins).await?;
            explanation.push((format!("fragment {number} in {}", region.id()), plan));
        }
    }
    Ok(explanation)
}

/// The explanation as rows of the columns `plan_type` and `plan`.
///
/// # Errors
/// Never; the columns are of one length.
pub(crate) fn rows(explanation: Vec<(String, String)>) -> Result<RecordBatch, QueryError> {
    let (kinds, plans): (Vec<_>, Vec<_>) = explanation.into_iter().unzip();
    let column = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
    RecordBatch::try_from_iter([("plan_type", column(kinds)), ("plan", column(plans))])
        .map_err(|error| QueryError::Execution(error.to_string()))
}
