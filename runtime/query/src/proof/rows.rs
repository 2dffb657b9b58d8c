//! An explanation as rows that a person reads from top to bottom.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use domicile_wire::explain::{Crossing, CrossingTerms, Prediction, RewriteOffer};

use super::Proof;
use crate::QueryError;
use crate::rewrites::offer;

/// Rows of the columns `crossing`, `what` and `detail`.
#[derive(Default)]
struct Table {
    crossing: Vec<String>,
    what: Vec<&'static str>,
    detail: Vec<String>,
}

impl Table {
    fn say(&mut self, crossing: &str, what: &'static str, detail: impl Into<String>) {
        self.crossing.push(crossing.to_owned());
        self.what.push(what);
        self.detail.push(detail.into());
    }
}

impl Proof {
    /// The explanation as rows.
    ///
    /// # Errors
    /// Never; the columns are of one length.
    pub(crate) fn rows(&self) -> Result<RecordBatch, QueryError> {
        let mut table = Table::default();
        let document = &self.document;
        let crossings = match document.crossings.len() {
            1 => "1 crossing".to_owned(),
            number => format!("{number} crossings"),
        };
        match (&document.nothing_crosses, document.admitted) {
            (Some(reason), _) => table.say("all", "verdict", format!("nothing crosses a border: {reason}")),
            (None, true) => table.say("all", "verdict", format!("admitted: {crossings}")),
            (None, false) => table.say("all", "verdict", format!("denied: {} of {crossings}", self.refused.len())),
        }
        if let Some(bytes) = document.predicted_bytes.filter(|_| document.nothing_crosses.is_none()) {
            table.say("all", "bytes", format!("at most about {bytes}"));
        }
        for (index, crossing) in document.crossings.iter().enumerate() {
            let refused = self.refused.iter().find(|(refused, _)| *refused == index).map(|(_, error)| error);
            self.crossing(&mut table, crossing, refused);
        }
        let column = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
        let what: ArrayRef = Arc::new(StringArray::from(table.what));
        RecordBatch::try_from_iter([
            ("crossing", column(table.crossing)),
            ("what", what),
            ("detail", column(table.detail)),
        ])
        .map_err(|error| QueryError::Execution(error.to_string()))
    }

    fn crossing(&self, table: &mut Table, crossing: &Crossing, refused: Option<&QueryError>) {
        let name = format!("{}: {} → {}", crossing.fragment, crossing.from, crossing.to);
        let judge = match (&crossing.unreachable, crossing.judged_by) {
            (Some(why), _) => format!("by {} alone; {} does not answer: {why}", crossing.to, crossing.from),
            (None, domicile_wire::explain::JudgedBy::Owner) => format!("by {} and {}", crossing.to, crossing.from),
            (None, domicile_wire::explain::JudgedBy::Asker) => format!("by {}", crossing.to),
        };
        table.say(&name, "verdict", format!("{} {judge}", if refused.is_none() { "admitted" } else { "denied" }));
        if let Some(error) = refused {
            let (why, offers) = told(error);
            table.say(&name, "denied", why);
            for offer in offers {
                table.say(&name, "rewrite", format!("{}: {}", offer.advice, offer.sql));
            }
        }
        if let Some(terms) = &crossing.terms {
            self.terms(table, &name, terms);
        }
        table.say(&name, "sql", crossing.sql.clone());
    }

    fn terms(&self, table: &mut Table, name: &str, terms: &CrossingTerms) {
        table.say(name, "form", terms.form.clone());
        for column in &terms.columns {
            let mask = column.mask.as_ref().map(|mask| format!(", as {mask}")).unwrap_or_default();
            table.say(name, "column", format!("{}: {}{mask}", column.column, column.role));
        }
        if !terms.functions.is_empty() {
            table.say(name, "functions", terms.functions.join(", "));
        }
        for clause in &terms.clauses {
            let detail = format!(
                "{} of {} v{} (sha256 {}): {}",
                clause.clause, clause.dataset, clause.policy_version, clause.policy_sha256, clause.legal_basis
            );
            table.say(name, "clause", detail);
        }
        if let Some(purpose) = &self.document.purpose {
            table.say(name, "purpose", purpose.clone());
        }
        if terms.minimum_entities > 0 {
            table.say(name, "minimum entities", terms.minimum_entities.to_string());
        }
        if terms.dominance_percent < 100 {
            table.say(name, "dominance", format!("nobody makes up more than {} %", terms.dominance_percent));
        }
        if terms.round_to > 0 {
            table.say(name, "rounding", format!("to multiples of {}", terms.round_to));
        }
        if let Some(noise) = terms.differential_privacy {
            let rows = noise.rows_per_entity_max;
            let told = format!("epsilon {} each question, at most {rows} rows of one entity", noise.epsilon);
            table.say(name, "differential privacy", told);
        }
        if terms.difference_checks {
            table.say(name, "differences", "compared with earlier answers");
        }
        if terms.snapshot_hours > 0 {
            table.say(name, "state of rows", format!("advances every {} h", terms.snapshot_hours));
        }
        for budget in &terms.budgets {
            let of = format!("{} of {}", budget.clause, budget.dataset);
            let left = budget.left.map_or(String::new(), |left| format!(", {left} left"));
            table.say(name, "budget", format!("{} questions in {} days by {of}{left}", budget.questions, budget.days));
        }
        let bytes = match (terms.predicted_bytes, terms.prediction) {
            (Some(bytes), Prediction::Remembered) => format!("at most about {bytes}, as the last time"),
            (Some(bytes), _) => format!("at most about {bytes}, whatever the rows are"),
            (None, _) => "not known".to_owned(),
        };
        table.say(name, "bytes", bytes);
    }
}

/// Why a crossing is refused, and what may be asked instead.
fn told(error: &QueryError) -> (String, Vec<RewriteOffer>) {
    match error {
        QueryError::Denied(denial) => (denial.to_string(), denial.rewrites.iter().map(offer).collect()),
        QueryError::Wire(domicile_wire::WireError::Refused(problem)) => {
            let offers = problem.facts.get("rewrites").cloned();
            let offers = offers.and_then(|offers| serde_json::from_value(offers).ok());
            (problem.detail.clone(), offers.unwrap_or_default())
        }
        other => (other.to_string(), Vec::new()),
    }
}
