//! Differential privacy, where a clause asks for it: what leaves under it is noised at its source.

use std::collections::BTreeSet;
use std::fmt;

use domicile_config::Position;
use domicile_config::strict::Spanned;

use crate::build::Context;
use crate::file::{RawClause, RawNoise};
use crate::{
    Border, Denial, DenialReason, DomainValue, FragmentFacts, Policy, PolicyError, PolicySet, Verdict, rewrite,
};

/// The functions whose values one entity changes by a known amount.
pub(crate) const NOISED_FUNCTIONS: [&str; 3] = ["count", "sum", "avg"];

/// The largest epsilon, in millionths: above it, noise hides next to nothing.
const EPSILON_MILLIONTHS_MAX: u64 = 10 * MILLIONTHS;
const MILLIONTHS: u64 = 1_000_000;
/// The most rows of one entity that count.
const ROWS_PER_ENTITY_MAX: u64 = 1_000_000;

/// How much of what leaves is noise: each question is epsilon-differentially private, with an entity as the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DifferentialPrivacy {
    /// What each question spends, in millionths.
    pub epsilon_millionths: u64,
    /// Rows of one entity that count in a question; the others do not.
    pub rows_per_entity_max: u64,
}

impl DifferentialPrivacy {
    /// What each question spends.
    #[expect(clippy::cast_precision_loss, reason = "at most ten million")]
    pub fn epsilon(&self) -> f64 {
        self.epsilon_millionths as f64 / MILLIONTHS as f64
    }

    /// Both hold: the smaller epsilon, and the fewer rows.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            epsilon_millionths: self.epsilon_millionths.min(other.epsilon_millionths),
            rows_per_entity_max: self.rows_per_entity_max.min(other.rows_per_entity_max),
        }
    }

    /// Of two, which may be missing, what holds where both have to.
    pub(crate) fn of_both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        }
    }
}

/// What contradicts differential privacy in a clause.
#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    /// An epsilon that means nothing, or hides nothing.
    #[error(
        "{at}: clause `{clause}` needs an `epsilon` above 0 and at most {}, in steps of 0.000001",
        EPSILON_MILLIONTHS_MAX / MILLIONTHS
    )]
    Epsilon {
        /// Where the number stands.
        at: Position,
        /// The clause.
        clause: String,
    },
    /// A number of questions without an end.
    #[error(
        "{at}: clause `{clause}` spends epsilon with each question, so it needs a `budget`, as \
         `budget = {{ questions = 50, days = 30 }}`"
    )]
    Budget {
        /// Where differential privacy is asked for.
        at: Position,
        /// The clause.
        clause: String,
    },
    /// A function whose values cannot be noised.
    #[error(
        "{at}: clause `{clause}` has differential privacy and admits `{function}`: it is not known how much one entity \
         changes that; list `count`, `sum` and `avg` only"
    )]
    Function {
        /// Where the functions are listed.
        at: Position,
        /// The clause.
        clause: String,
        /// The function.
        function: String,
    },
    /// A key that says nothing beside noise.
    #[error("{at}: clause `{clause}` has differential privacy: noise protects, and `{key}` would not; remove it")]
    Needless {
        /// Where the key's value stands.
        at: Position,
        /// The clause.
        clause: String,
        /// The key.
        key: &'static str,
    },
    /// A group key whose values nobody knows beforehand.
    #[error(
        "{at}: clause `{clause}` has differential privacy, so every group that there can be is released; list the \
         values of `{column}` under [domains], or do not group by it"
    )]
    Domain {
        /// Where the column is listed.
        at: Position,
        /// The clause.
        clause: String,
        /// The column.
        column: String,
    },
}

/// What of a question cannot be noised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unnoised {
    /// Functions, or a plugin's code, of which nobody knows how much one entity changes them.
    Functions(Vec<String>),
    /// Group keys whose values nobody knows beforehand.
    Keys,
    /// A sum of a column without bounds.
    Unbounded(String),
    /// A sum of something computed.
    Computed,
    /// A sum of a column whose bounds are too large to be added up.
    TooWide(String),
}

impl fmt::Display for Unnoised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Functions(names) => {
                let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                write!(f, "how much one entity changes {names} is not known; ask for count, sum or avg of columns as they are")
            }
            Self::Keys => f.write_str(
                "every group that there can be is released, and the values of a group key are not known; group by columns \
                 as they are whose values a policy lists under [domains], or ask for the total",
            ),
            Self::Unbounded(column) => write!(
                f,
                "how much one row adds to a sum of `{column}` is not known; ask for a count, or have its bounds declared \
                 under [bounds] of the policy"
            ),
            Self::Computed => f.write_str(
                "how much one row adds to a sum of something computed is not known; ask for sums of columns as they are",
            ),
            Self::TooWide(column) => write!(f, "the bounds of `{column}` are too wide to be added up; narrow them"),
        }
    }
}

impl PolicySet {
    /// The denial of a question that the policies admit, but for this that cannot be noised; none where no clause of the
    /// verdict asks for noise.
    pub fn unnoised(
        &self,
        facts: &FragmentFacts,
        border: &Border<'_>,
        verdict: &Verdict,
        what: Unnoised,
    ) -> Option<Box<Denial>> {
        let has_noise = |policy: &Policy, id: &str| {
            policy.allow.iter().any(|clause| clause.id == id && clause.differential_privacy.is_some())
        };
        let found = verdict.clauses.iter().find_map(|clause| {
            let policy = self.policy(&clause.dataset).filter(|policy| has_noise(policy, &clause.clause))?;
            Some((policy, clause.clause.clone()))
        });
        let (policy, clause) = found?;
        Some(Box::new(Denial {
            reason: DenialReason::Unnoised { clause, what },
            dataset: policy.dataset.clone(),
            columns: Vec::new(),
            policy: policy.label(),
            from: border.from.clone(),
            to: border.to.clone(),
            rewrites: rewrite::nearest(self, policy, facts, border),
        }))
    }
}

/// The domains of a policy's columns, as far as this module cares: their names.
pub(crate) type Listed = std::collections::BTreeMap<String, BTreeSet<DomainValue>>;

/// Reads what a clause says of noise, and refuses what contradicts it.
pub(crate) fn build(
    context: &Context<'_>,
    raw: &RawClause,
    domains: &Listed,
) -> Result<Option<DifferentialPrivacy>, PolicyError> {
    let Some(asked) = &raw.differential_privacy else { return Ok(None) };
    let clause = || raw.id.get_ref().clone();
    if raw.budget.is_none() {
        return Err(NoiseError::Budget { at: context.source.at(asked), clause: clause() }.into());
    }
    refuse_needless(context, raw)?;
    let functions = raw.functions.iter().flat_map(|list| list.get_ref().iter().map(move |name| (list, name)));
    let noised = |name: &str| NOISED_FUNCTIONS.contains(&name.to_lowercase().as_str());
    for (list, function) in functions {
        if !noised(function) {
            let (at, function) = (context.source.at(list), function.clone());
            return Err(NoiseError::Function { at, clause: clause(), function }.into());
        }
    }
    for column in raw.group_by.iter().flat_map(|list| list.get_ref()) {
        if !domains.contains_key(column.get_ref()) {
            let (at, column) = (context.source.at(column), column.get_ref().clone());
            return Err(NoiseError::Domain { at, clause: clause(), column }.into());
        }
    }
    numbers(context, raw, asked.get_ref()).map(Some)
}

fn numbers(context: &Context<'_>, raw: &RawClause, asked: &RawNoise) -> Result<DifferentialPrivacy, PolicyError> {
    let (epsilon, rows) = (&asked.epsilon, &asked.rows_per_entity_max);
    let clause = raw.id.get_ref().clone();
    let epsilon_millionths = millionths(*epsilon.get_ref());
    let Some(epsilon_millionths) = epsilon_millionths.filter(|it| (1..=EPSILON_MILLIONTHS_MAX).contains(it)) else {
        return Err(NoiseError::Epsilon { at: context.source.at(epsilon), clause }.into());
    };
    if !(1..=ROWS_PER_ENTITY_MAX).contains(rows.get_ref()) {
        let (at, key) = (context.source.at(rows), "rows_per_entity_max");
        return Err(PolicyError::OutOfRange { at, clause, key, least: 1, largest: ROWS_PER_ENTITY_MAX });
    }
    Ok(DifferentialPrivacy { epsilon_millionths, rows_per_entity_max: *rows.get_ref() })
}

/// A number of millionths, where it is one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within what is checked before")]
fn millionths(number: f64) -> Option<u64> {
    const NEARLY: f64 = 1e-6;
    let (whole, most) = ((number * 1e6).round(), 2e9);
    let fits = number.is_finite() && (0.0..=most).contains(&whole) && (number * 1e6 - whole).abs() < NEARLY;
    fits.then_some(whole as u64)
}

fn refuse_needless(context: &Context<'_>, raw: &RawClause) -> Result<(), NoiseError> {
    fn at<T>(context: &Context<'_>, value: Option<&Spanned<T>>) -> Option<Position> {
        value.map(|value| context.source.at(value))
    }
    let keys = [
        ("minimum_entities", at(context, raw.minimum_entities.as_ref())),
        ("dominance_percent", at(context, raw.dominance_percent.as_ref())),
        ("difference_checks", at(context, raw.difference_checks.as_ref())),
        ("strict_differences", at(context, raw.strict_differences.as_ref())),
        ("plugins", at(context, raw.plugins.as_ref())),
    ];
    match keys.into_iter().find_map(|(key, at)| Some((key, at?))) {
        Some((key, at)) => Err(NoiseError::Needless { at, clause: raw.id.get_ref().clone(), key }),
        None => Ok(()),
    }
}
