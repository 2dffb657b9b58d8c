//! The judgement of a fragment over all datasets it reads.

use std::collections::BTreeSet;

use domicile_types::{DatasetName, Residency};

use crate::closest::{self, Miss};
use crate::{Border, ColumnUse, Denial, DenialReason, FragmentFacts, Policy, PolicySet, Verdict, rewrite};

pub(crate) fn judge(set: &PolicySet, facts: &FragmentFacts, border: &Border<'_>) -> Result<Verdict, Box<Denial>> {
    verdict(set, facts, border).map_err(|misses| Box::new(denial(set, facts, border, misses)))
}

/// The verdict, or the closest miss of every dataset that denies; never an empty list.
pub(crate) fn verdict(
    set: &PolicySet,
    facts: &FragmentFacts,
    border: &Border<'_>,
) -> Result<Verdict, Vec<(DatasetName, Miss)>> {
    let mut verdict = Verdict::unconditional(facts.form);
    if border.from == border.to {
        return Ok(verdict);
    }
    let mut misses = Vec::new();
    // A column of a dataset that the caller forgot to list must not slip through.
    let read: BTreeSet<&DatasetName> =
        facts.datasets.iter().chain(closest::uses(facts).map(|(_, column)| &column.dataset)).collect();
    for dataset in read {
        if matches!(set.residency(dataset), Some(Residency::Reference)) {
            continue;
        }
        let Some(policy) = set.policy(dataset) else {
            misses.push((dataset.clone(), Miss::whole(DenialReason::UnknownDataset, facts, dataset)));
            continue;
        };
        match closest::admit(policy, facts, border) {
            Err(miss) => misses.push((dataset.clone(), *miss)),
            Ok(clause) => verdict = verdict.and(Verdict::of(facts.form, policy, clause)),
        }
    }
    if misses.is_empty() { Ok(verdict) } else { Err(misses) }
}

fn denial(set: &PolicySet, facts: &FragmentFacts, border: &Border<'_>, mut misses: Vec<(DatasetName, Miss)>) -> Denial {
    let mut columns: Vec<ColumnUse> = Vec::new();
    for (_, column) in closest::uses(facts) {
        let refused = misses.iter().any(|(_, miss)| miss.columns.contains(column));
        if refused && !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    let named = columns.first().map(|column| &column.dataset);
    let told = misses.iter().position(|(dataset, _)| Some(dataset) == named).unwrap_or_default();
    let (dataset, miss) = misses.swap_remove(told);
    let policy = set.policy(&dataset);
    Denial {
        reason: miss.reason,
        columns,
        policy: policy.map_or_else(|| "none".to_owned(), Policy::label),
        from: border.from.clone(),
        to: border.to.clone(),
        rewrites: policy.map(|policy| rewrite::nearest(set, policy, facts, border)).unwrap_or_default(),
        dataset,
    }
}
