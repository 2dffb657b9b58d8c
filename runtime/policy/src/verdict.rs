//! Under which conditions a fragment may cross.

use std::collections::BTreeMap;

use domicile_types::{DatasetName, Digest};

use crate::{Clause, DifferentialPrivacy, Form, Mask, Policy};

/// Largest step that numbers are rounded to.
pub(crate) const ROUND_TO_MAX: u64 = 1_000_000_000;

/// The fragment may cross, under these conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How it crosses. Aggregates stay aggregates; rows are masked where `masks` has a dataset.
    pub form: Form,
    /// Fewest distinct entities of a group that may be released; 0 where no group needs to be held back.
    pub minimum_entities: u64,
    /// Largest share of a count or sum that one entity may make up, in percent; 100 where any share may be.
    pub dominance_percent: u64,
    /// Numbers are released as multiples of this; 0 where they are released as they are.
    pub round_to: u64,
    /// Of each dataset that is masked, the columns that may be used, and what everything in the fragment sees of them.
    /// A dataset that is not here is read as it is.
    pub masks: BTreeMap<DatasetName, BTreeMap<String, Mask>>,
    /// How many questions are admitted in a time, for each clause that limits them, in the order of the datasets' names.
    pub budgets: Vec<Budget>,
    /// Whether the release is compared with earlier ones of the same tenant, so that no two of them differ by fewer
    /// than `minimum_entities` entities.
    pub difference_checks: bool,
    /// Whether a release of the very same rows as an earlier one, put differently, counts as one that differs by too few.
    pub strict_differences: bool,
    /// The rows are those of a state that advances this often, in hours; 0 for the newest.
    pub snapshot_hours: u64,
    /// How much noise what leaves has; `None` where it has none. Thresholds come first.
    pub differential_privacy: Option<DifferentialPrivacy>,
    /// The clause of every resident dataset that admitted it, in the order of the datasets' names. Empty where
    /// nothing needs a permission.
    pub clauses: Vec<ClauseRef>,
}

/// How many questions a clause admits in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Dataset whose policy has the clause.
    pub dataset: DatasetName,
    /// Id of the clause.
    pub clause: String,
    /// Questions that are admitted in any `days` days.
    pub questions: u64,
    /// The time, in days.
    pub days: u64,
}

/// A clause, named precisely enough for an auditor to find it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseRef {
    /// Dataset whose policy has the clause.
    pub dataset: DatasetName,
    /// Id of the clause.
    pub clause: String,
    /// Version of the policy.
    pub policy_version: u32,
    /// Digest of the policy's text.
    pub policy_digest: Digest,
    /// Legal basis that the clause states.
    pub legal_basis: String,
}

impl Verdict {
    /// Of what needs no permission: it crosses as it is.
    pub fn unconditional(form: Form) -> Self {
        Self {
            form,
            minimum_entities: 0,
            dominance_percent: 100,
            round_to: 0,
            masks: BTreeMap::new(),
            budgets: Vec::new(),
            difference_checks: false,
            strict_differences: false,
            snapshot_hours: 0,
            differential_privacy: None,
            clauses: Vec::new(),
        }
    }

    /// Of a fragment of this form, as far as this clause of this policy goes.
    pub(crate) fn of(form: Form, policy: &Policy, clause: &Clause) -> Self {
        let dataset = &policy.dataset;
        let masked = clause.form == Form::Masked;
        let budget = |quota: &crate::Quota| Budget {
            dataset: dataset.clone(),
            clause: clause.id.clone(),
            questions: quota.questions,
            days: quota.days,
        };
        Self {
            form: if masked { form.max(Form::Masked) } else { form },
            minimum_entities: clause.minimum_entities,
            dominance_percent: clause.dominance_percent,
            round_to: clause.round_to,
            masks: masked.then(|| (dataset.clone(), clause.masks.clone())).into_iter().collect(),
            budgets: clause.budget.iter().map(budget).collect(),
            difference_checks: clause.difference_checks,
            strict_differences: clause.strict_differences,
            snapshot_hours: clause.snapshot_hours,
            differential_privacy: clause.differential_privacy,
            clauses: vec![ClauseRef {
                dataset: dataset.clone(),
                clause: clause.id.clone(),
                policy_version: policy.version,
                policy_digest: policy.digest,
                legal_basis: clause.legal_basis.clone(),
            }],
        }
    }

    /// Whether a release under this verdict may be made under the other one too: the same conditions, by the same
    /// clauses for the same reasons. In which version of a policy the clauses stand is left out of account.
    pub fn is_the_same_permission(&self, other: &Self) -> bool {
        let of_clause =
            |clause: &ClauseRef| (clause.dataset.clone(), clause.clause.clone(), clause.legal_basis.clone());
        let clauses = |verdict: &Self| verdict.clauses.iter().map(of_clause).collect::<Vec<_>>();
        clauses(self) == clauses(other)
            && Self { clauses: Vec::new(), ..self.clone() } == Self { clauses: Vec::new(), ..other.clone() }
    }

    /// Both hold, as where one result goes to two regions: of each condition the stricter one. A column that the two
    /// mask differently is missing.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (dataset, theirs) in other.masks {
            let ours = self.masks.entry(dataset).or_default();
            for (column, mask) in theirs {
                ours.entry(column).and_modify(|our| *our = our.and(mask)).or_insert(mask);
            }
        }
        Self {
            form: self.form.max(other.form),
            minimum_entities: self.minimum_entities.max(other.minimum_entities),
            dominance_percent: self.dominance_percent.min(other.dominance_percent),
            round_to: common_step(self.round_to, other.round_to),
            masks: self.masks,
            budgets: union(self.budgets, other.budgets, |budget| &budget.dataset),
            difference_checks: self.difference_checks || other.difference_checks,
            strict_differences: self.strict_differences || other.strict_differences,
            snapshot_hours: self.snapshot_hours.max(other.snapshot_hours),
            differential_privacy: DifferentialPrivacy::of_both(self.differential_privacy, other.differential_privacy),
            clauses: union(self.clauses, other.clauses, |clause| &clause.dataset),
        }
    }
}

/// The smallest step whose multiples are multiples of both; the larger one where that is too large to be of use.
fn common_step(one: u64, other: u64) -> u64 {
    if one == 0 || other == 0 {
        return one.max(other);
    }
    let (mut divisor, mut rest) = (one, other);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let common = (one / divisor).checked_mul(other);
    common.filter(|step| *step <= ROUND_TO_MAX).unwrap_or_else(|| one.max(other))
}

fn union<T: PartialEq>(mut ours: Vec<T>, theirs: Vec<T>, dataset: impl Fn(&T) -> &DatasetName) -> Vec<T> {
    for one in theirs {
        if !ours.contains(&one) {
            ours.push(one);
        }
    }
    ours.sort_by(|a, b| dataset(a).cmp(dataset(b)));
    ours
}
