//! What policies say, for the people who answer for them.

mod sentences;

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{KeyValue, RegionId, Residency};
use serde::Serialize;

use crate::closest::admits;
use crate::{Clause, Form, Mask, Policy, PolicySet, Role};

/// A policy, explained. As text ([`std::fmt::Display`]) it is a heading, and under it short sentences, one a line; as
/// data it has the same content.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The dataset.
    pub dataset: String,
    /// Version of the policy.
    pub version: u32,
    /// SHA-256 of its text, in hexadecimal digits.
    pub sha256: String,
    /// The dataset and the column whose values are whom rows are about.
    pub entity: EntityExplained,
    /// The column that says where a row lives: by its value, or by the row of `follows` that it refers to.
    pub column: String,
    /// The dataset that the rows live with, where they have no homes of their own.
    pub follows: Option<String>,
    /// The regions that rows live in, and for which values of `column`; without values where the rows follow others.
    pub homes: BTreeMap<String, Vec<HomeValue>>,
    /// What may cross a border, in the order of the file.
    pub clauses: Vec<ClauseExplained>,
    /// Columns that no clause lets be used for anything: they stay home. In alphabetical order.
    pub stays: Vec<String>,
}

/// Whom rows are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntityExplained {
    /// The dataset.
    pub dataset: String,
    /// Its column.
    pub column: String,
}

/// A value of the column that says where rows live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum HomeValue {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
}

/// A clause, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClauseExplained {
    /// Its id.
    pub id: String,
    /// The homes that data may leave. Regions that the clause names and no row lives in are left out.
    pub from: Vec<String>,
    /// The regions that it may go to.
    pub to: Vec<String>,
    /// `aggregate`; or `rows` or `masked` ones, which may be aggregated too.
    pub form: &'static str,
    /// The columns that rows may show and that anything may be computed from; empty for aggregates.
    pub columns: Vec<String>,
    /// What is seen of each of these columns where rows are masked: `plain`, `null`, `hmac`, `prefix 2`,
    /// `multiple_of 1000`, `year`, `quarter` or `month`.
    pub masks: BTreeMap<String, Mask>,
    /// The columns that aggregates may be grouped by; empty for rows, as the next ones are.
    pub group_by: Vec<String>,
    /// The columns that aggregates may be filtered and joined by.
    pub filter_by: Vec<String>,
    /// The columns that aggregates may be computed from.
    pub measures: Vec<String>,
    /// Those of the columns above that are identifiers.
    pub identifiers: Vec<String>,
    /// The functions that aggregates may call.
    pub functions: Vec<String>,
    /// SHA-256 of the plugins whose own bytes may be in an aggregate, in hexadecimal digits.
    pub plugins: Vec<String>,
    /// Fewest entities of a group that is released; 0 for rows.
    pub minimum_entities: u64,
    /// Largest share of a count or sum that one entity may make up, in percent; `None` where any may be.
    pub dominance_percent: Option<u64>,
    /// Numbers leave as multiples of this; `None` where they leave as they are.
    pub round_to: Option<u64>,
    /// How many questions are admitted in a time; `None` where any number.
    pub budget: Option<BudgetExplained>,
    /// How much noise numbers have; `None` where they have none.
    pub differential_privacy: Option<NoiseExplained>,
    /// Whether each release is compared with earlier ones of the same tenant.
    pub difference_checks: bool,
    /// Whether one of the very same rows as an earlier one, put differently, is held back.
    pub strict_differences: bool,
    /// Answers come from a state that advances this often, in hours; `None` where from the newest.
    pub snapshot_hours: Option<u64>,
    /// Least and greatest value that a column is taken to have in what is computed.
    pub bounds: BTreeMap<String, [f64; 2]>,
    /// Those of the columns that aggregates may be grouped by whose values the policy lists: of groups by these alone
    /// it does not show whether one exists that is too small.
    pub domains: Vec<String>,
    /// The purposes, one of which has to be stated; empty: any, stated or not.
    pub purposes: Vec<String>,
    /// Last day, as `2030-12-31`.
    pub expires: Option<String>,
    /// Why this is lawful.
    pub legal_basis: String,
}

/// A number of questions in a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetExplained {
    /// Questions that are admitted in any `days` days.
    pub questions: u64,
    /// The time, in days.
    pub days: u64,
}

/// Differential privacy, with one entity as the unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NoiseExplained {
    /// What each question spends.
    pub epsilon: f64,
    /// Rows of one entity that count in a question; the others do not.
    pub rows_per_entity_max: u64,
}

impl PolicySet {
    /// Every policy explained, in the order of their datasets' names.
    pub fn explain(&self) -> Vec<Explanation> {
        self.policies().filter_map(|policy| explained(self, policy)).collect()
    }
}

/// Each checked policy has an explanation: its chain ends at a dataset that names homes.
fn explained(set: &PolicySet, policy: &Policy) -> Option<Explanation> {
    let root = set.policy(set.entity_root(&policy.dataset)?)?;
    let Residency::Column { entity, homes: values, .. } = &root.residency else { return None };
    let regions = root.residency.regions();
    let (column, follows) = match &policy.residency {
        Residency::Follows { dataset, column } => (column, Some(dataset.to_string())),
        Residency::Column { column, .. } => (column, None),
        Residency::Reference => return None,
    };
    let mut homes: BTreeMap<String, Vec<HomeValue>> =
        regions.iter().map(|region| (region.to_string(), Vec::new())).collect();
    for (value, region) in values.iter().filter(|_| follows.is_none()) {
        homes.entry(region.to_string()).or_default().push(home_value(value));
    }
    let stays = policy.classes.keys().filter(|column| !policy.allow.iter().any(|clause| uses(policy, clause, column)));
    Some(Explanation {
        dataset: policy.dataset.to_string(),
        version: policy.version,
        sha256: policy.digest.to_string(),
        entity: EntityExplained { dataset: root.dataset.to_string(), column: entity.clone() },
        column: column.clone(),
        follows,
        homes,
        clauses: policy.allow.iter().map(|clause| clause_explained(policy, clause, &regions)).collect(),
        stays: stays.cloned().collect(),
    })
}

fn home_value(value: &KeyValue) -> HomeValue {
    match value {
        KeyValue::Integer(value) => HomeValue::Integer(*value),
        KeyValue::Text(value) => HomeValue::Text(value.clone()),
    }
}

/// Whether the clause lets the column be used for anything.
fn uses(policy: &Policy, clause: &Clause, column: &str) -> bool {
    [Role::Output, Role::GroupBy, Role::Measure, Role::Filter].iter().any(|role| admits(policy, clause, *role, column))
}

fn clause_explained(policy: &Policy, clause: &Clause, homes: &BTreeSet<RegionId>) -> ClauseExplained {
    let used = |column: &&String| uses(policy, clause, column);
    let identifier = |column: &&String| policy.class(column) == Some(crate::Class::Identifier);
    let columns: Vec<String> = match clause.form {
        Form::Rows | Form::Masked => policy.classes.keys().filter(used).cloned().collect(),
        Form::Aggregate => Vec::new(),
    };
    let computed = |column: &str| columns.iter().chain(&clause.measures).any(|listed| listed == column);
    let missing = |column: &str| clause.masks.get(column) == Some(&Mask::Null);
    let bounds = policy.bounds.iter().filter(|(column, _)| computed(column) && !missing(column));
    ClauseExplained {
        id: clause.id.clone(),
        from: clause.from.intersection(homes).map(ToString::to_string).collect(),
        to: clause.to.iter().map(ToString::to_string).collect(),
        form: match clause.form {
            Form::Rows => "rows",
            Form::Masked => "masked",
            Form::Aggregate => "aggregate",
        },
        masks: clause.masks.clone(),
        bounds: bounds.map(|(column, bounds)| (column.clone(), [bounds.min, bounds.max])).collect(),
        domains: clause.group_by.iter().filter(|column| policy.domains.contains_key(*column)).cloned().collect(),
        group_by: clause.group_by.clone(),
        filter_by: clause.filter_by.clone(),
        measures: clause.measures.clone(),
        identifiers: policy.classes.keys().filter(used).filter(identifier).cloned().collect(),
        functions: clause.functions.iter().cloned().collect(),
        plugins: clause.plugins.iter().map(ToString::to_string).collect(),
        minimum_entities: clause.minimum_entities,
        dominance_percent: Some(clause.dominance_percent).filter(|percent| *percent < 100),
        round_to: Some(clause.round_to).filter(|step| *step > 0),
        budget: clause.budget.map(|quota| BudgetExplained { questions: quota.questions, days: quota.days }),
        differential_privacy: clause
            .differential_privacy
            .map(|noise| NoiseExplained { epsilon: noise.epsilon(), rows_per_entity_max: noise.rows_per_entity_max }),
        difference_checks: clause.difference_checks,
        strict_differences: clause.strict_differences,
        snapshot_hours: Some(clause.snapshot_hours).filter(|hours| *hours > 0),
        purposes: clause.purposes.iter().cloned().collect(),
        expires: clause.expires.map(|day| day.to_string()),
        legal_basis: clause.legal_basis.clone(),
        columns,
    }
}
