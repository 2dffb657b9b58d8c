//! What `EXPLAIN RESIDENCY` says: every crossing that a question would make, before it makes any.

use serde::{Deserialize, Serialize};

use crate::Problem;
use crate::receipt::ClauseRecord;

/// Answer of `POST /v1/query/explain?mode=residency`. Nothing of the question was executed for it, and nothing crossed
/// but this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResidencyExplanation {
    /// The id of this explanation.
    pub query_id: String,
    /// The region that was asked, where partial results would meet.
    pub edge: String,
    /// The purpose stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Whether the question would be admitted: by this region and by every owning region that answered.
    pub admitted: bool,
    /// Why nothing crosses a border, where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing_crosses: Option<String>,
    /// The crossings: one for each fragment and each home elsewhere that it would be asked of.
    pub crossings: Vec<Crossing>,
    /// Bytes that would cross all borders together, as predicted; left out where one crossing has no prediction, or
    /// is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_bytes: Option<u64>,
    /// The problem document that the question would be answered with, where it would be denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Problem>,
}

/// One fragment's way from one home to the region that asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    /// Number of the fragment, from 1.
    pub fragment: usize,
    /// The region that owns the rows.
    pub from: String,
    /// The region that asks.
    pub to: String,
    /// Whether it would be admitted.
    pub admitted: bool,
    /// Whose verdict this is. The owning region has the last word; the asking region's stands where it denies already,
    /// or the owning region does not answer.
    pub judged_by: JudgedBy,
    /// Why the owning region did not answer, where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// Under which terms; left out where it is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<CrossingTerms>,
    /// The fragment: what the owning region would compute, in SQL.
    pub sql: String,
    /// The problem document that the crossing would be refused with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Problem>,
}

/// Whose verdict on a crossing is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgedBy {
    /// The region that owns the rows.
    Owner,
    /// The region that asks.
    Asker,
}

/// What would cross, and by what right. A region that is asked with `explain` answers with this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossingTerms {
    /// `aggregate`, `masked` or `rows`.
    pub form: String,
    /// Columns that flow into what crosses, or decide about it.
    pub columns: Vec<ColumnRole>,
    /// Functions that are called on the way.
    pub functions: Vec<String>,
    /// One clause for each dataset, with the policy's version and legal basis.
    pub clauses: Vec<ClauseRecord>,
    /// Fewest distinct entities of a group that is released; 0 where none is held back.
    pub minimum_entities: u64,
    /// Largest share of a value that one entity may make up, in percent; 100 where any.
    pub dominance_percent: u64,
    /// Numbers are released as multiples of this; 0 where as they are.
    pub round_to: u64,
    /// The noise that numbers have, where they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differential_privacy: Option<NoiseTerms>,
    /// Whether the release is compared with earlier ones.
    pub difference_checks: bool,
    /// The rows are those of a state that advances this often, in hours; 0 for the newest.
    pub snapshot_hours: u64,
    /// How many questions clauses admit in a time, where they limit them. Explaining takes none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetTerms>,
    /// Bytes that would cross: a power of two, so that nothing exact is told. Left out where nothing is known, as of a
    /// plugin's own bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_bytes: Option<u64>,
    /// What the prediction stands on.
    pub prediction: Prediction,
}

/// Differential privacy, with one entity as the unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseTerms {
    /// What each question spends.
    pub epsilon: f64,
    /// Rows of one entity that count in a question.
    pub rows_per_entity_max: u64,
}

/// How many questions a clause admits in a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetTerms {
    /// The dataset whose policy has the clause.
    pub dataset: String,
    /// The clause's id.
    pub clause: String,
    /// Questions that are admitted in any `days` days.
    pub questions: u64,
    /// The time, in days.
    pub days: u64,
    /// How many of them whoever asks has left, as the region that owns the rows says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
}

/// What a prediction of bytes stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// The most that the plan can give over as many rows as the region has. Filters make it no smaller.
    Bound,
    /// The size of the latest answer to the same fragment.
    Remembered,
    /// Nothing.
    Unknown,
}

/// A column and what it is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRole {
    /// `dataset.column`.
    pub column: String,
    /// `output`, `group key`, `measure` or `filter`.
    pub role: String,
    /// How its values are replaced, where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
}

/// A question near a denied one that would be admitted: one of the `rewrites` of a problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewriteOffer {
    /// What it changes: `coarser`, `aggregate`, `without-filter`, `ask-at` or `purpose`.
    pub change: String,
    /// The same in words.
    pub advice: String,
    /// The question.
    pub sql: String,
    /// The region whose edge to ask, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<String>,
    /// The purpose to state, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}
