//! Clauses that say nothing: about no border, or nothing that another clause does not say.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{DatasetName, RegionId};

use crate::closest::{admits, asks};
use crate::places::{ClausePlaces, Places};
use crate::{Clause, Form, Policy, PolicyError, Role, follows};

/// Refuses clauses that could be left out. Every dataset in `places` has a policy, and a chain that ends at homes.
pub(crate) fn check(
    policies: &BTreeMap<DatasetName, Policy>,
    places: &BTreeMap<DatasetName, Places>,
) -> Result<(), PolicyError> {
    for (dataset, places) in places {
        let (Some(policy), Ok(Some(root))) = (policies.get(dataset), follows::root(policies, dataset)) else {
            continue;
        };
        let homes = root.residency.regions();
        for (clause, places) in policy.allow.iter().zip(&places.clauses) {
            check_border(policy, clause, places, &homes)?;
        }
        for (index, (clause, at)) in policy.allow.iter().zip(&places.clauses).enumerate() {
            let by = policy.allow.iter().zip(&places.clauses).enumerate();
            let mut by = by.filter(|(other, _)| makes_needless(policy, *other, index, &homes));
            if let Some((_, (by, by_at))) = by.next() {
                let (at, by_line) = (at.id.clone(), by_at.id.line);
                return Err(PolicyError::ClauseCovered { at, clause: clause.id.clone(), by: by.id.clone(), by_line });
            }
        }
    }
    Ok(())
}

fn check_border(
    policy: &Policy,
    clause: &Clause,
    places: &ClausePlaces,
    homes: &BTreeSet<RegionId>,
) -> Result<(), PolicyError> {
    if clause.from.is_disjoint(homes) {
        return Err(PolicyError::ClauseFromNoHome {
            at: places.from.clone(),
            clause: clause.id.clone(),
            dataset: policy.dataset.clone(),
            homes: homes.iter().cloned().collect(),
        });
    }
    if borders(clause, homes).next().is_none() {
        let to = clause.to.iter().cloned().collect();
        return Err(PolicyError::ClauseNoBorder { at: places.to.clone(), clause: clause.id.clone(), to });
    }
    Ok(())
}

/// The borders that rows could cross under the clause.
fn borders<'a>(
    clause: &'a Clause,
    homes: &'a BTreeSet<RegionId>,
) -> impl Iterator<Item = (&'a RegionId, &'a RegionId)> {
    let from = clause.from.intersection(homes);
    from.flat_map(|from| clause.to.iter().map(move |to| (from, to))).filter(|(from, to)| from != to)
}

/// Whether the clause at `index` could go because of the one at `other`. Of two that say the same the later one could.
fn makes_needless(policy: &Policy, other: usize, index: usize, homes: &BTreeSet<RegionId>) -> bool {
    let (Some(wide), Some(narrow)) = (policy.allow.get(other), policy.allow.get(index)) else { return false };
    if other == index || !covers(policy, wide, narrow, homes) {
        return false;
    }
    if other < index || asks(wide) < asks(narrow) {
        return true;
    }
    // The earlier of two that ask the same is the one that receipts name, so its legal basis may be the point of it; or
    // it is a budget of its own.
    wide.legal_basis == narrow.legal_basis && narrow.budget.is_none() && !covers(policy, narrow, wide, homes)
}

/// Whether `wide` admits all that `narrow` does, under conditions that are no stricter.
fn covers(policy: &Policy, wide: &Clause, narrow: &Clause, homes: &BTreeSet<RegionId>) -> bool {
    let borders = borders(narrow, homes).all(|(from, to)| wide.from.contains(from) && wide.to.contains(to));
    let purposes =
        wide.purposes.is_empty() || (!narrow.purposes.is_empty() && narrow.purposes.is_subset(&wide.purposes));
    let days = wide.expires.is_none_or(|last| narrow.expires.is_some_and(|its_last| its_last <= last));
    let form = match (wide.form, narrow.form) {
        (Form::Rows, _) | (Form::Aggregate, Form::Aggregate) => true,
        (Form::Masked, Form::Masked) => narrow.masks.iter().all(|(column, mask)| wide.masks.get(column) == Some(mask)),
        (Form::Masked, Form::Rows | Form::Aggregate) | (Form::Aggregate, Form::Rows | Form::Masked) => false,
    };
    let calls = wide.form != Form::Aggregate
        || (narrow.functions.is_subset(&wide.functions) && narrow.plugins.is_subset(&wide.plugins));
    let columns = [Role::Output, Role::GroupBy, Role::Measure, Role::Filter].into_iter().all(|role| {
        let mut admitted = policy.classes.keys().filter(|column| admits(policy, narrow, role, column));
        admitted.all(|column| admits(policy, wide, role, column))
    });
    let conditions = wide.minimum_entities <= narrow.minimum_entities
        && wide.dominance_percent >= narrow.dominance_percent
        && wide.round_to <= narrow.round_to
        && wide.difference_checks <= narrow.difference_checks
        && wide.strict_differences <= narrow.strict_differences
        && wide.snapshot_hours <= narrow.snapshot_hours
        && wide
            .differential_privacy
            .is_none_or(|wide| narrow.differential_privacy.is_some_and(|narrow| wide.and(narrow) == narrow))
        && wide.budget.is_none_or(|wide| {
            narrow.budget.is_some_and(|narrow| wide.questions >= narrow.questions && wide.days <= narrow.days)
        });
    borders && purposes && days && form && calls && columns && conditions
}
