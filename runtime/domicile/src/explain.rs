//! `domicile query --explain residency`.

use domicile_wire::client::full;
use domicile_wire::explain::{Crossing, CrossingTerms, JudgedBy, Prediction, ResidencyExplanation};
use http::{HeaderMap, Method};

use crate::edge::Edge;
use crate::output::{Failure, Output, counted, offered, say, shown};

/// Shows what the question would take across which border; [`Failure::Shown`] where a policy is against it.
pub(crate) async fn residency(edge: &Edge, output: Output, headers: HeaderMap, sql: String) -> Result<(), Failure> {
    let answer = edge.json(Method::POST, "/v1/query/explain?mode=residency", headers, full(sql)).await?;
    let explained: ResidencyExplanation = serde_json::from_value(answer.clone()).map_err(anyhow::Error::from)?;
    output.show(&answer, || show(&explained));
    if explained.admitted { Ok(()) } else { Err(Failure::Shown) }
}

fn show(explained: &ResidencyExplanation) {
    match (&explained.nothing_crosses, explained.admitted) {
        (Some(reason), _) => say!("Nothing crosses a border: {reason}."),
        (None, true) => say!("The policies admit this question."),
        (None, false) => say!("The policies do not admit this question."),
    }
    for crossing in &explained.crossings {
        say!("");
        let verdict = if crossing.admitted { "admitted" } else { "denied" };
        say!("{} → {}, fragment {}: {verdict}{}", crossing.from, crossing.to, crossing.fragment, judge(crossing));
        say!("  {}", shown(&crossing.sql));
        if let Some(terms) = &crossing.terms {
            show_terms(terms);
        }
        if let Some(denied) = &crossing.denied {
            say!("  {}", shown(&denied.detail));
            let offers = denied.facts.get("rewrites").and_then(serde_json::Value::as_array);
            offered(offers.map(Vec::as_slice).unwrap_or_default()).iter().for_each(|line| say!("  {line}"));
        }
    }
    if let Some(bytes) = explained.predicted_bytes.filter(|_| !explained.crossings.is_empty()) {
        say!("");
        say!("At most about {bytes} bytes would cross, usually far fewer.");
    }
}

fn judge(crossing: &Crossing) -> String {
    match (&crossing.unreachable, crossing.judged_by) {
        (Some(why), _) => format!(" by {} alone; {} does not answer: {why}", crossing.to, crossing.from),
        (None, JudgedBy::Owner) => format!(" by {}", crossing.from),
        (None, JudgedBy::Asker) => format!(" by {}", crossing.to),
    }
}

fn show_terms(terms: &CrossingTerms) {
    let columns = terms.columns.iter().map(|column| match &column.mask {
        Some(mask) => format!("{} ({} as {mask})", column.column, column.role),
        None => format!("{} ({})", column.column, column.role),
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    match (columns.is_empty(), terms.functions.is_empty()) {
        (false, _) => say!("  {} of {columns}", terms.form),
        (true, false) => say!("  {} of no column: {}", terms.form, terms.functions.join(", ")),
        (true, true) => say!("  {} of no column", terms.form),
    }
    for clause in &terms.clauses {
        let of = format!("{} v{}", clause.dataset, clause.policy_version);
        say!("  by clause `{}` of {of}: {}", shown(&clause.clause), shown(&clause.legal_basis));
    }
    if terms.minimum_entities > 0 {
        let rounding = if terms.round_to > 0 { format!(", rounded to {}", terms.round_to) } else { String::new() };
        say!(
            "  at least {} entities in each group, none of them more than {} %{rounding}",
            terms.minimum_entities,
            terms.dominance_percent
        );
    }
    if let Some(noise) = terms.differential_privacy {
        let rows = noise.rows_per_entity_max;
        say!("  with noise: epsilon {} each question, at most {rows} rows of one entity", noise.epsilon);
    }
    for budget in &terms.budgets {
        let of = format!("of {} in {}", counted(budget.questions, "question"), counted(budget.days, "day"));
        let by = format!("by clause `{}` of {}", shown(&budget.clause), shown(&budget.dataset));
        match budget.left {
            None => say!("  takes one {of}, {by}"),
            Some(0) => say!("  none is left {of}, {by}: what was answered is answered again, and nothing new is"),
            Some(left) => say!("  takes one {of}, {by}: {left} left"),
        }
    }
    match terms.predicted_bytes {
        Some(bytes) if terms.prediction == Prediction::Remembered => {
            say!("  at most about {bytes} bytes, as the last time")
        }
        Some(bytes) => say!("  at most about {bytes} bytes: what the types and keys allow, whatever the rows are"),
        None => say!("  bytes are not known beforehand"),
    }
}
